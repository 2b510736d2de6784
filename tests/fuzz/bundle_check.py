"""A bucket, its writer, an attacker and a new look for each mutant; and what must hold of whatever serves."""

from __future__ import annotations

import json
import random
from typing import Any

import msgspec
import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from shared.adapters.key_file import KeyFileSigner
from shared.adapters.memory.serving import MemoryBlobs
from shared.features.catalogue import FEATURE_NAMES
from shared.learning.training.packing import sealed
from shared.ports.blobs import Blob
from shared.scoring.bundle import GOLDEN_TOLERANCE, MANIFEST, POINTER, Bundle, Manifest, Pointer, digest, path
from shared.scoring.bundle_files import golden
from shared.scoring.champion import Champion
from shared.scoring.signature import Address, Content, signed
from shared.scoring.thresholds import OFF
from shared.telemetry.metrics import Metrics
from tests.fuzz.bundle_mutations import changed, flipped, mutated
from tests.model_keys import SIGNER, TRUST, in_trust

STRANGER = KeyFileSigner(Ed25519PrivateKey.from_private_bytes(b"s" * 32))
SOUND, STRANGE, FORGED = "sound", "strange", "forged"
_START = 1_000_000_000_000_000
Files = dict[str, bytes]


class Found(msgspec.Struct):
    """The number of mutants, of those that served, and of those that must not have been; and examples of these."""

    mutants: int = 0
    served: int = 0
    served_wrongly: int = 0
    crashes: int = 0
    forged_served: int = 0
    examples: list[str] = []

    def wrong(self) -> dict[str, int]:
        """Return the numbers that must be 0."""
        return {name: getattr(self, name) for name in ("served_wrongly", "crashes", "forged_served")}

    def add(self, other: Found) -> None:
        """Add the numbers of another part of the run."""
        for name in ("mutants", "served", *self.wrong()):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.examples = [*self.examples, *other.examples][:20]


class World:
    """A bucket that starts with a sound champion; each mutant is put into it, and an instance looks."""

    def __init__(self, bundles: list[Files]) -> None:
        self._bundles = bundles
        self._bucket = MemoryBlobs()
        self._counter = _START
        self._champion = Champion(in_trust(self._bucket, None), 5.0, lambda: 0.0, Metrics())
        self._number = 0
        self._probes = _probes()
        self._settle()

    def try_one(self, chance: random.Random, found: Found) -> None:
        """Make one mutant, look, and count what came of it; never raises."""
        self._number += 1
        found.mutants += 1
        label = ""
        try:
            kind = chance.choice([self._altered, self._altered, self._altered, self._forged, self._forged_pointer])
            label = kind.__name__
            kind(chance, found)
        except Exception as error:  # noqa: BLE001 (that nothing raises is the question)
            found.crashes += 1
            found.examples.append(f"{label}: {type(error).__name__}: {error}"[:300])
        if self._number % 500 == 0:
            self._settle()

    def _settle(self) -> None:
        """Empty the bucket, and let a sound bundle serve."""
        self._bucket.objects.clear()
        version = f"sound{self._number}"
        files = dict(self._bundles[0])
        manifest = msgspec.structs.replace(msgspec.json.decode(files[MANIFEST], type=Manifest), version=version)
        self._publish(version, files, self._sign(path(version, MANIFEST), msgspec.json.encode(manifest)))
        self._put(POINTER, self._pointer(version))
        self._champion.look()
        assert self._champion.current
        assert self._champion.current.version == version

    def _altered(self, chance: random.Random, found: Found) -> None:
        """A bundle whose maker is trusted and mistaken: hashes made again, signed. It is sound or refused."""
        version = f"m{self._number}"
        files = dict(chance.choice(self._bundles))
        old = msgspec.json.decode(files.pop(MANIFEST), type=Manifest)
        names = [name for name in files if not name.endswith(".skops")]
        for name in chance.sample(names, chance.choice([1, 1, 1, 2])):
            files[name] = mutated(name, files[name], chance)
        if chance.random() < 0.05:
            files.pop(chance.choice(names))
        if chance.random() < 0.05:
            other = chance.choice(names)
            files[other] = chance.choice(self._bundles).get(other, b"")
        manifest = _resealed(files, msgspec.structs.replace(old, version=version))
        if chance.random() < 0.1:
            manifest = mutated(MANIFEST, manifest, chance)
        self._publish(version, files, self._sign_any(path(version, MANIFEST), manifest))
        self._look(version, found)

    def _look(self, version: str, found: Found) -> None:
        self._put(POINTER, self._pointer(version))
        self._champion.look()
        current = self._champion.current
        assert current
        if current.version == version:
            found.served += 1
            if reason := self._fault(current):
                found.served_wrongly += 1
                found.examples.append(f"served wrongly: {reason}")

    def _fault(self, bundle: Bundle) -> str:
        """Return what is wrong with a bundle that serves, empty if nothing is. Raises whatever scoring does."""
        scores = bundle.score(self._probes)
        if scores.shape != (len(self._probes),) or not np.all(np.isnan(scores) | ((scores >= 0) & (scores <= 1))):
            return "a score is no probability"
        alone = np.concatenate([bundle.score(self._probes[i : i + 1]) for i in range(3)])
        if not np.allclose(alone, scores[:3], atol=1e-6, equal_nan=True):
            return "a score depends on its batch"
        found = bundle.contributions(self._probes[:2])
        if found.shape != (2, len(bundle.reason_codes)):
            return "reasons are not one number for each group"
        for side in (bundle.thresholds.payer, bundle.thresholds.payee):
            if not all(0 < each <= 1 or each == OFF for each in (side.hold, side.reject)):
                return "a threshold is no probability"
            side.reached(scores)
        return self._off_golden(bundle)

    def _off_golden(self, bundle: Bundle) -> str:
        vectors, expected = golden(self._bucket.objects[path(bundle.version, "golden.npz")].data)
        features = np.full((len(vectors), len(FEATURE_NAMES)), np.nan, np.float32)
        features[:, [FEATURE_NAMES.index(name) for name in bundle.feature_names]] = vectors
        return "" if np.allclose(bundle.score(features), expected, atol=GOLDEN_TOLERANCE) else "golden scores differ"

    def _forged(self, chance: random.Random, found: Found) -> None:
        """A bundle that nobody trusted has signed as it is; the pointer to it is genuine, as of a careless job."""
        version = f"f{self._number}"
        files = dict(chance.choice(self._bundles))
        old = msgspec.json.decode(files.pop(MANIFEST), type=Manifest)
        genuine = _resealed(files, msgspec.structs.replace(old, version=version))
        name = path(version, MANIFEST)
        signed_ = self._sign(name, genuine)
        altered = chance.choice([each for each in files if not each.endswith(".skops")])
        spoilt = {**files, altered: mutated(altered, files[altered], chance)}
        remade = _resealed(spoilt, msgspec.structs.replace(old, version=version))
        envelope = json.loads(signed_)
        made: dict[str, bytes] = {
            "unsigned": genuine,
            "of a stranger": self._sign(name, remade, signer=STRANGER),
            "moved": self._sign(path("other", MANIFEST), remade),
            "of staging": self._sign(name, remade, environment="staging"),
            "its hashes remade": msgspec.json.encode(envelope | {"payload": json.loads(remade)}),
            "its files replaced": signed_,
            "its envelope changed": json.dumps(changed(envelope, chance)).encode("utf-8", "surrogatepass"),
            "its bytes changed": flipped(signed_, chance),
        }
        kind = chance.choice(list(made))
        keeps = kind in ("its envelope changed", "its bytes changed")
        self._publish(version, files if keeps or kind == "unsigned" else spoilt, made[kind])
        self._put(POINTER, self._pointer(version))
        self._champion.look()
        current = self._champion.current
        serves = current is not None and current.version == version
        if serves and not self._served_as_signed(version, json.loads(genuine)["files"]):
            found.forged_served += 1
            found.examples.append(f"forged: {kind}")

    def _served_as_signed(self, version: str, hashes: dict[str, str]) -> bool:
        """Return whether the files of a version are those that the trusted key has signed, under its signature."""
        whole = {name: digest(self._bucket.objects[path(version, name)].data) for name in hashes}
        try:
            payload = json.loads(self._bucket.objects[path(version, MANIFEST)].data)["payload"]
            return whole == hashes and payload["files"] == hashes and payload["version"] == version
        except (ValueError, KeyError, TypeError):
            return False

    def _forged_pointer(self, chance: random.Random, found: Found) -> None:
        """A pointer that is unsigned, forged, moved or replayed, and names a bundle that is sound and signed."""
        version, before = f"p{self._number}", self._champion.current
        assert before
        files = dict(chance.choice(self._bundles))
        old = msgspec.json.decode(files.pop(MANIFEST), type=Manifest)
        manifest = _resealed(files, msgspec.structs.replace(old, version=version))
        self._publish(version, files, self._sign(path(version, MANIFEST), manifest))
        plain = msgspec.json.encode(Pointer(version, "2026-01-01T00:00:00+00:00"))
        envelope = json.loads(self._pointer(before.version))
        self._put(POINTER, msgspec.json.encode(envelope))
        self._champion.look()
        late = signed(Address(TRUST.environment, POINTER), Content(plain, envelope["counter"] - 1), SIGNER)
        made: dict[str, bytes] = {
            "unsigned": plain,
            "of a stranger": self._sign(POINTER, plain, signer=STRANGER),
            "of staging": self._sign(POINTER, plain, environment="staging"),
            "moved": self._sign(chance.choice(["models/control.json", path(version, MANIFEST)]), plain),
            "replayed": late,
            "its payload changed": msgspec.json.encode(envelope | {"payload": json.loads(plain)}),
            "its envelope changed": json.dumps(changed(envelope | {"payload": json.loads(plain)}, chance)).encode(
                "utf-8", "surrogatepass"
            ),
            "its bytes changed": flipped(late, chance),
        }
        kind = chance.choice(list(made))
        self._put(POINTER, made[kind])
        self._champion.look()
        if self._champion.current is not before:
            found.forged_served += 1
            found.examples.append(f"forged pointer: {kind}")

    def _publish(self, version: str, files: Files, manifest: bytes) -> None:
        for name, data in (files | {MANIFEST: manifest}).items():
            self._put(path(version, name), data)

    def _put(self, name: str, data: bytes) -> None:
        """Write as one who may write the bucket: any bytes, at once."""
        self._bucket._generation += 1
        self._bucket.objects[name] = Blob(data, self._bucket._generation)
        self._bucket.updated_at[name] = self._bucket._clock()

    def _pointer(self, version: str) -> bytes:
        return self._sign(POINTER, msgspec.json.encode(Pointer(version, "2026-01-01T00:00:00+00:00")))

    def _sign(
        self,
        name: str,
        payload: bytes,
        signer: KeyFileSigner = SIGNER,
        environment: str = TRUST.environment,
    ) -> bytes:
        self._counter += 2
        counter = max(self._counter, int(self._bucket._clock().timestamp() * 1e6))
        self._counter = counter
        return signed(Address(environment, name), Content(payload, counter), signer)

    def _sign_any(self, name: str, payload: bytes) -> bytes:
        """Sign what may not be JSON, as far as that can be signed."""
        try:
            json.loads(payload)
            return self._sign(name, payload)
        except ValueError:
            return payload


def _resealed(files: Files, manifest: Manifest) -> bytes:
    """Return the manifest of changed files, as far as possible by the means of a training."""
    try:
        return sealed(files, manifest)[MANIFEST]
    except Exception:  # noqa: BLE001 (its features or explanation are what was changed)
        hashes = {name: digest(data) for name, data in files.items()}
        return msgspec.json.encode(msgspec.structs.replace(manifest, files=hashes))


def _probes() -> Any:
    """Return vectors [n, F]: usual, large, tiny, missing and extreme values."""
    rng = np.random.default_rng(1)
    usual = rng.normal(size=(5, len(FEATURE_NAMES)))
    largest = np.finfo(np.float32).max
    rest = [np.full(len(FEATURE_NAMES), value) for value in (np.nan, 0.0, 1e9, -1e9, largest, -largest, 1e-40)]
    holes = np.where(rng.random(usual.shape) < 0.5, np.nan, usual)
    return np.concatenate([usual, holes, np.stack(rest)]).astype(np.float32)
