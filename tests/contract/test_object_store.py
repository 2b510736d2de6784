"""The object store against a dict of generations, and after an interrupted write."""

import uuid
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from infra.local.storage.errors import ConditionNotMet, StorageError
from infra.local.storage.objects import ObjectStore
from infra.local.storage.preconditions import Preconditions
from infra.local.storage.records import ObjectRecord


def put(store: ObjectStore, name: str, content: bytes, match: tuple[int, ...]) -> ObjectRecord:
    staged = store.stage()
    staged.write(content)
    conditions = Preconditions(generation_match=match[0]) if match else Preconditions()
    try:
        return store.put("models", name, staged, {}, conditions)
    finally:
        staged.discard()


def test_an_interrupted_write_leaves_the_old_object(tmp_path: Path) -> None:
    store = ObjectStore(tmp_path)
    store.buckets.create("models")
    old = put(store, "a", b"old", ())
    staged = store.stage()
    staged.write(b"half of the n")
    staged.close()
    again = ObjectStore(tmp_path)
    assert again.get("models", "a") == old
    assert list((tmp_path / ".meta").rglob("unfinished")) == []


class StoreMachine(RuleBasedStateMachine):
    """The store against a dict of name to (generation, content), restarted at any time."""

    directory: Path
    names = st.sampled_from(["a", "b/c", "b/d"])

    @initialize()
    def begin(self) -> None:
        self.root = self.directory / uuid.uuid4().hex
        self.store = ObjectStore(self.root)
        self.store.buckets.create("models")
        self.model: dict[str, tuple[int, bytes]] = {}
        self.highest = 0

    @rule(name=names, content=st.binary(max_size=5))
    def write(self, name: str, content: bytes) -> None:
        self.remember(name, content, put(self.store, name, content, ()).generation)

    @rule(name=names, content=st.binary(max_size=5), offset=st.sampled_from([0, 0, 1, -1]))
    def write_if_generation(self, name: str, content: bytes, offset: int) -> None:
        current = self.model.get(name, (0, b""))[0]
        if offset == 0:
            self.remember(name, content, put(self.store, name, content, (current,)).generation)
        else:
            with pytest.raises(ConditionNotMet):
                put(self.store, name, content, (current + offset,))

    @rule(name=names)
    def delete(self, name: str) -> None:
        if self.model.pop(name, None):
            self.store.delete("models", name)
        else:
            with pytest.raises(StorageError):
                self.store.delete("models", name)

    @rule(name=names, content=st.binary(min_size=6, max_size=9))
    def write_from_outside(self, name: str, content: bytes) -> None:
        path = self.root / "models" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        generation = self.store.get("models", name).generation
        assert generation > self.model.get(name, (0, b""))[0]
        self.model[name] = (generation, content)

    @rule(name=names)
    def touch_metadata(self, name: str) -> None:
        if name in self.model:
            before = self.store.get("models", name).metageneration
            assert self.store.update("models", name, {"metadata": {}}).metageneration == before + 1

    @rule()
    def restart(self) -> None:
        self.store = ObjectStore(self.root)

    @invariant()
    def agrees_with_the_model(self) -> None:
        if not hasattr(self, "store"):
            return
        assert self.store.buckets.objects("models") == sorted(self.model)
        for name, (generation, content) in self.model.items():
            record, file = self.store.open("models", name)
            with file:
                assert (record.generation, file.read()) == (generation, content)

    def remember(self, name: str, content: bytes, generation: int) -> None:
        assert generation > self.highest
        self.highest = generation
        self.model[name] = (generation, content)


def test_the_store_agrees_with_a_dict_of_generations(tmp_path: Path) -> None:
    StoreMachine.directory = tmp_path
    run_state_machine_as_test(StoreMachine, settings=settings(max_examples=40, stateful_step_count=20))
