"""Forged, unsigned and replayed pointers and bundles never serve, also while the pointer moves."""

from __future__ import annotations

import datetime as dt
import itertools
import json
import threading
from collections.abc import Iterator

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from shared.adapters.key_file import KeyFileSigner
from shared.adapters.memory.learning import MemoryLedger
from shared.adapters.memory.serving import MemoryBlobs
from shared.errors import BundleRefused, Misconfigured, Untrusted
from shared.learning.config import Retention
from shared.learning.lifecycle.pointer import MoveCause, publish, read_pointer, swap
from shared.learning.lifecycle.retire import Retiring, list_unneeded, retire
from shared.scoring.bundle import MANIFEST, POINTER, Pointer, path
from shared.scoring.champion import Champion
from shared.scoring.control import CONTROL, Budget, Switch
from shared.scoring.control_switch import ControlSwitch
from shared.scoring.signature import public_keys
from shared.scoring.signed_blobs import WRITE_SECONDS, SignedBlobs, Trust
from shared.telemetry.metrics import REFUSED, Metrics
from tests.model_keys import SIGNER, TRUST, in_trust
from tests.unit.learning.bundles import small_bundle
from tests.unit.log_records import fields
from tests.waiting import until

NOW = dt.datetime(2026, 11, 20, tzinfo=dt.UTC)
CAUSE = MoveCause(NOW, "tests", "")
STRANGER = KeyFileSigner(Ed25519PrivateKey.from_private_bytes(b"s" * 32))
TRIES = 200


class Clock:
    """The time of the bucket and of those who sign."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> dt.datetime:
        return self.now

    def seconds(self) -> float:
        return self.now.timestamp()


class World:
    """A bucket with v1, which serves, and v2; a writer who may sign, and an attacker who may only write."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.bucket = MemoryBlobs(self.clock)
        self.trusted = SignedBlobs(self.bucket, TRUST, SIGNER, self.clock.seconds)
        self.metrics = Metrics()
        for version in ("v1", "v2"):
            publish(self.trusted, version, small_bundle(version))
        self.point("v1")
        self.champion = self.instance()

    def instance(self) -> Champion:
        """Return the champion of a new instance, after its first look."""
        blobs = in_trust(self.bucket, None)
        champion = Champion(blobs, 5.0, lambda: 0.0, self.metrics)
        champion.look()
        return champion

    def point(self, version: str) -> None:
        self.clock.now += dt.timedelta(seconds=1)
        swap(self.trusted, read_pointer(self.trusted), version, CAUSE)

    def put(self, name: str, data: bytes) -> None:
        """Write as somebody who may write the bucket and not sign."""
        present = self.bucket.read(name)
        self.bucket.write(name, data, present.generation if present else 0)

    def data(self, name: str = POINTER) -> bytes:
        return self.bucket.objects[name].data

    def serving(self, champion: Champion | None = None) -> str | None:
        champion = champion or self.champion
        champion.look()
        return champion.current.version if champion.current else None


@pytest.fixture
def world() -> World:
    return World()


def forged(name: str, payload: bytes) -> bytes:
    """Return an object that a key signed which nobody trusts."""
    bucket = MemoryBlobs()
    SignedBlobs(bucket, Trust(public_keys(STRANGER.public_key), TRUST.environment), STRANGER).write(name, payload, 0)
    return bucket.objects[name].data


def pointer_to(version: str) -> bytes:
    return msgspec.json.encode(Pointer(version, NOW.isoformat()))


def test_a_move_that_is_signed_serves(world: World) -> None:
    assert world.serving() == "v1"
    world.point("v2")
    assert world.serving() == "v2"
    assert world.metrics.value(REFUSED) == 0


def test_an_unsigned_or_forged_pointer_keeps_the_champion_with_one_line(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    for number, data in enumerate((pointer_to("v2"), forged(POINTER, pointer_to("v2")), b"", b"null"), 1):
        world.put(POINTER, data)
        for _ in range(3):
            assert world.serving() == "v1"
        assert world.metrics.value(REFUSED) == number
    lines = [each for each in caplog.records if each.getMessage() == "pointer refused"]
    assert [fields(each)["serving"] for each in lines] == ["v1"] * 4
    assert "signed" in fields(lines[0])["reason"]
    assert world.serving(world.instance()) is None, "a new instance decides by rules"


def test_a_pointer_put_back_is_refused_by_running_and_by_new_instances(world: World) -> None:
    old = world.data()
    world.point("v2")
    assert world.serving() == "v2"
    world.put(POINTER, old)
    assert world.serving() == "v2"
    world.clock.now += dt.timedelta(seconds=WRITE_SECONDS + 1)
    del world.bucket.objects[POINTER]
    world.put(POINTER, old)
    assert world.serving() == "v2"
    assert world.serving(world.instance()) is None
    with pytest.raises(Untrusted, match="put back"):
        read_pointer(in_trust(world.bucket))
    world.bucket.delete(POINTER)
    world.point("v1")
    assert world.serving() == world.serving(world.instance()) == "v1", "deleting the pointer mends it"


def test_a_pointer_written_late_is_one_put_back_only_for_who_has_seen_none(world: World) -> None:
    """The limit that is documented: within WRITE_SECONDS a new instance cannot know."""
    old = world.data()
    world.point("v2")
    world.clock.now += dt.timedelta(seconds=WRITE_SECONDS - 5)
    world.put(POINTER, old)
    assert world.serving(world.instance()) == "v1"
    world.serving()
    world.point("v2")
    assert world.serving() == "v2"


def test_a_signed_object_is_not_another_one(world: World) -> None:
    for name in ("v1", "v2"):
        world.put(POINTER, world.data(path(name, MANIFEST)))
        assert world.serving() == "v1"
    manifests = {name: world.data(path(name, MANIFEST)) for name in ("v1", "v2")}
    del world.bucket.objects[path("v2", MANIFEST)]
    world.put(path("v2", MANIFEST), manifests["v1"])
    world.bucket.delete(POINTER)
    with pytest.raises(BundleRefused, match="another object"):
        world.point("v2")


def test_a_bundle_of_another_environment_is_refused(world: World) -> None:
    staging = SignedBlobs(world.bucket, TRUST._replace(environment="staging"), SIGNER)
    publish(staging, "v3", small_bundle("v3"))
    with pytest.raises(BundleRefused, match="another object or environment"):
        world.point("v3")


@pytest.mark.parametrize("name", ["model.onnx", "policy.json", "calibration.json", MANIFEST])
def test_a_file_that_the_signature_does_not_cover_keeps_the_champion(world: World, name: str) -> None:
    world.put(path("v2", name), small_bundle("v2", slope=3.0)[name] + b"\n")
    world.trusted.write(POINTER, pointer_to("v2"), world.bucket.objects[POINTER].generation)
    assert world.serving() == "v1"
    assert world.metrics.value(REFUSED) == 1


def test_who_cannot_sign_can_write_nothing_that_decides(world: World) -> None:
    reader = in_trust(world.bucket, None)
    for name in (POINTER, CONTROL, path("v3", MANIFEST), "measured/recovery.json"):
        with pytest.raises(Misconfigured, match="PIX_MODEL_SIGNER"):
            reader.write(name, b"{}", 0)
    stranger = in_trust(world.bucket, STRANGER)
    with pytest.raises(Misconfigured, match="PIX_MODEL_KEYS"):
        stranger.write(path("v3", MANIFEST), b"{}", 0)
    assert path("v3", MANIFEST) not in world.bucket.objects


def test_a_key_is_replaced_while_both_are_trusted(world: World) -> None:
    both = Trust(public_keys(f"{SIGNER.public_key},{STRANGER.public_key}"), TRUST.environment)
    later = SignedBlobs(world.bucket, both, STRANGER, world.clock.seconds)
    world.clock.now += dt.timedelta(seconds=1)
    swap(later, read_pointer(later), "v2", CAUSE)
    assert world.serving() == "v1", "an instance that does not know the new key keeps its model"
    champion = Champion(SignedBlobs(world.bucket, both), 5.0, lambda: 0.0, Metrics())
    assert world.serving(champion) == "v2", "whose manifest the old key has signed"


def test_a_job_whose_clock_is_behind_still_counts_on(world: World) -> None:
    behind = SignedBlobs(world.bucket, TRUST, SIGNER, lambda: 1.0)
    swap(behind, read_pointer(behind), "v2", CAUSE)
    assert world.serving() == "v2"


def test_the_control_group_is_off_unless_its_switch_is_signed(world: World, caplog: pytest.LogCaptureFixture) -> None:
    budget = Budget(0.5, 0.5, pix=100, day=100, month=100, review=0, reserved=0)
    on = msgspec.json.encode(Switch(budget, NOW.isoformat(), "tests", ""))
    switch = ControlSwitch(in_trust(world.bucket, None), lambda: 0.0, 15.0)
    world.trusted.write(CONTROL, on, 0)
    switch.look()
    assert switch.budget() == budget
    signed = world.data(CONTROL)
    world.clock.now += dt.timedelta(hours=1)
    off = msgspec.json.encode(Switch(None, NOW.isoformat(), "tests", ""))
    world.trusted.write(CONTROL, off, world.bucket.objects[CONTROL].generation)
    switch.look()
    for content in (on, signed):
        world.put(CONTROL, content)
        for _ in range(2):
            switch.look()
            assert switch.budget() is None
    assert [each.getMessage() for each in caplog.records if each.levelname == "ERROR"] == [
        "control group refused"
    ] * 2


def test_a_retraining_lists_and_a_retirement_without_a_key_deletes(world: World) -> None:
    world.point("v2")
    for version in ("v3", "v4"):
        publish(world.trusted, version, small_bundle(version))
    ledger = MemoryLedger()
    reader = in_trust(world.bucket, None)
    keyless = Retiring(reader, reader, ledger, world.clock, "retire", signs=False)
    none = Retention(keep=0, days=0)
    assert retire(keyless, none, lambda _: None).retired == [], "nothing is listed"
    training = keyless._replace(blobs=world.trusted, shelf=world.trusted, signs=True)
    assert list_unneeded(training, none) == ["v3", "v4"]
    assert list_unneeded(training, none) == []
    with pytest.raises(BundleRefused, match="being retired"):
        world.point("v3")
    before = world.bucket.objects[POINTER]
    assert retire(keyless, none, lambda _: None).retired == ["v3", "v4"]
    assert world.bucket.objects[POINTER] == before
    assert not [name for name in world.bucket.objects if name.startswith(("models/v3", "models/v4"))]
    assert [(row.action, row.to_version) for row in ledger.stored if row.action == "RETIRE"] == [
        ("RETIRE", "v3"),
        ("RETIRE", "v4"),
    ]
    list_unneeded(training, none)
    assert read_pointer(world.trusted).pointer.retiring == []
    assert world.serving() == "v2"


def attacks(world: World, replayed: list[bytes]) -> Iterator[bytes]:
    """Yield pointers that must not serve, without end: unsigned, forged, altered, of another object, replayed."""
    number = 0
    while True:
        number += 1
        signed = json.loads(world.data())
        yield pointer_to("v2")
        yield forged(POINTER, pointer_to("evil"))
        yield json.dumps(signed | {"counter": signed["counter"] + 10**12}).encode()
        yield json.dumps(signed | {"payload": json.loads(pointer_to("evil"))}).encode()
        yield world.data(path("v1", MANIFEST))
        yield replayed[number % len(replayed)]


class Watched:
    """An instance that looks at the pointer all the time, and notes its model and the counter that it believes."""

    def __init__(self, world: World) -> None:
        self.models: list[str | None] = []
        self.counters: list[int] = []
        self._blobs = in_trust(world.bucket, None)
        self._champion = Champion(self._blobs, 5.0, lambda: 0.0, world.metrics)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> Watched:
        self._champion.look()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def has_looked(self) -> None:
        """Wait for a look that began after this call."""
        looks = len(self.counters)
        until(lambda: len(self.counters) > looks + 1)

    def _look(self) -> None:
        while not self._over.is_set():
            self._champion.look()
            self.models.append(self._champion.current.version if self._champion.current else None)
            self.counters.append(self._blobs._seen[POINTER].content.counter)


def test_nothing_forged_or_replayed_serves_in_200_tries_while_the_pointer_moves() -> None:
    """A job moves the pointer between v1 and v2, an attacker writes over each move, and an instance looks always."""
    world = World()
    for name, data in small_bundle("evil", slope=9.0).items():
        world.put(path("evil", name), data)  # whole, and unsigned
    replayed = [world.data()]
    for version in ("v2", "v1"):
        world.point(version)
        replayed.append(world.data())
    tried, evil = 0, attacks(world, replayed)
    with Watched(world) as instance:
        while tried < TRIES:
            world.point(("v2", "v1")[tried // 5 % 2])
            good = world.data()
            for attack in itertools.islice(evil, 5):
                world.put(POINTER, attack)
                with pytest.raises(BundleRefused):
                    swap(world.trusted, read_pointer(world.trusted), "evil", CAUSE)
                world.put(POINTER, good)
                tried += 1
            instance.has_looked()
    assert set(instance.models) == {"v1", "v2"}
    assert instance.counters == sorted(instance.counters), "no earlier pointer was believed again"
    assert len(set(instance.counters)) > TRIES // 10
    assert world.serving() == read_pointer(world.trusted).version
