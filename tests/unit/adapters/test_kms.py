"""Cloud KMS at its wire: the official client against a server that signs as the service does."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent import futures
from typing import Any

import grpc
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA256
from google.cloud import kms
from google.cloud.kms_v1.services.key_management_service.transports import KeyManagementServiceGrpcTransport
from google_crc32c import value as crc32c

from infra.local.loopback import LOOPBACK
from shared.adapters.kms import KmsSigner
from shared.errors import Misconfigured, Unavailable
from shared.scoring.signature import Address, Content, signed, verified

VERSION = "projects/p/locations/southamerica-east1/keyRings/pix/cryptoKeys/models/cryptoKeyVersions/1"
ADDRESS, CONTENT = Address("bucket", "models/current.json"), Content(b"{}", 1)


class FakeKms(grpc.GenericRpcHandler):  # type: ignore[misc]  # grpc has no types
    """AsymmetricSign of google.cloud.kms.v1, for one key version of P-256; `status` and `answer` spoil it."""

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.status: grpc.StatusCode | None = None
        self.answer: dict[str, Any] = {}
        self.requests: list[kms.AsymmetricSignRequest] = []

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        """Return the only method."""
        if handler_call_details.method != "/google.cloud.kms.v1.KeyManagementService/AsymmetricSign":
            return None
        return grpc.unary_unary_rpc_method_handler(
            self._sign, kms.AsymmetricSignRequest.deserialize, kms.AsymmetricSignResponse.serialize
        )

    def _sign(self, request: kms.AsymmetricSignRequest, context: grpc.ServicerContext) -> kms.AsymmetricSignResponse:
        self.requests.append(request)
        if self.status:
            context.abort(self.status, "spoilt")
        if request.name != VERSION:
            context.abort(grpc.StatusCode.NOT_FOUND, "no such version")
        signature = self.key.sign(request.digest.sha256, ec.ECDSA(Prehashed(SHA256())))
        sound = {
            "name": VERSION,
            "signature": signature,
            "signature_crc32c": crc32c(signature),
            "verified_digest_crc32c": request.digest_crc32c == crc32c(request.digest.sha256),
        }
        return kms.AsymmetricSignResponse(**(sound | self.answer))


@pytest.fixture
def service() -> FakeKms:
    return FakeKms()


@pytest.fixture
def client(service: FakeKms) -> Iterator[kms.KeyManagementServiceClient]:
    server = grpc.server(futures.ThreadPoolExecutor(2), handlers=[service])
    port = server.add_insecure_port(f"{LOOPBACK}:0")
    server.start()
    with grpc.insecure_channel(f"{LOOPBACK}:{port}") as channel:
        yield kms.KeyManagementServiceClient(transport=KeyManagementServiceGrpcTransport(channel=channel))
    server.stop(None).wait()


def test_what_the_service_signs_verifies_by_its_public_key(
    service: FakeKms, client: kms.KeyManagementServiceClient
) -> None:
    data = signed(ADDRESS, CONTENT, KmsSigner(client, VERSION))
    assert verified(data, ADDRESS, [service.key.public_key()]) == CONTENT
    [request] = service.requests
    assert len(request.digest.sha256) == 32
    assert request.data == b"", "the content itself does not leave"


@pytest.mark.parametrize(
    ("status", "error"),
    [
        ("PERMISSION_DENIED", Misconfigured),
        ("FAILED_PRECONDITION", Misconfigured),
        ("UNAUTHENTICATED", Misconfigured),
        ("INVALID_ARGUMENT", Misconfigured),
        ("RESOURCE_EXHAUSTED", Unavailable),
        ("INTERNAL", Unavailable),
    ],
)
def test_errors_are_mapped(
    service: FakeKms, client: kms.KeyManagementServiceClient, status: str, error: type[Exception]
) -> None:
    service.status = grpc.StatusCode[status]
    with pytest.raises(error, match="Cloud KMS"):
        KmsSigner(client, VERSION).sign(b"message")


def test_a_service_out_of_reach_is_unavailable(service: FakeKms, client: kms.KeyManagementServiceClient) -> None:
    service.status = grpc.StatusCode.UNAVAILABLE
    with pytest.raises(Unavailable, match="Cloud KMS"):
        KmsSigner(client, VERSION, patience=0.3).sign(b"message")


@pytest.mark.parametrize(
    "answer", [{"signature": b"other"}, {"verified_digest_crc32c": False}, {"name": VERSION + "0"}]
)
def test_a_request_or_answer_altered_on_its_way_is_not_believed(
    service: FakeKms, client: kms.KeyManagementServiceClient, answer: dict[str, Any]
) -> None:
    service.answer = answer
    with pytest.raises(Unavailable, match="altered"):
        KmsSigner(client, VERSION).sign(b"message")


def test_another_version_is_named_by_its_setting(client: kms.KeyManagementServiceClient) -> None:
    with pytest.raises(Misconfigured, match="PIX_MODEL_SIGNER"):
        KmsSigner(client, VERSION + "9").sign(b"message")


@pytest.mark.parametrize("setting", ["key.pem", "projects/p/keys/1", VERSION.removesuffix("/1"), f"{VERSION}/x"])
def test_a_setting_that_names_no_key_version_is_refused(setting: str) -> None:
    with pytest.raises(Misconfigured, match="neither a file nor a key version"):
        KmsSigner.connect(setting)
