"""Google's own analyser of GoogleSQL over the tables and views of the product, on this machine."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from unittest import mock

import wasmtime
from zetasql.api import (  # type: ignore[import-untyped]  # zetasql has no type information
    Analyzer,
    CatalogBuilder,
    TableBuilder,
    TypeFactory,
)
from zetasql.core import wasm_client  # type: ignore[import-untyped]  # zetasql has no type information
from zetasql.core.local_service import ZetaSqlLocalService  # type: ignore[import-untyped]  # zetasql has no type information
from zetasql.types import (  # type: ignore[import-untyped]  # zetasql has no type information
    AnalyzeRequest,
    AnalyzerOptions,
    LanguageOptions,
    ProductMode,
    SimpleCatalog,
    Type,
    TypeKind,
    ZetaSQLBuiltinFunctionOptions,
)

from shared.contract import tables as contract

PROJECT = "bank"
DATASET = "pix"


class _QuickToStart(wasmtime.Config):
    """The analyser comes as WebAssembly, and its compilation from a cache."""

    def __init__(self) -> None:
        super().__init__()
        self.cache = True


def columns(sql: str) -> Mapping[str, Type]:
    """Return the columns of a query's rows. Raises zetasql's ServerError, which names the fault of the query."""
    return _columns(_product(), sql)


def check(statement: str) -> None:
    """Raise zetasql's ServerError unless the statement is sound.

    The answer is taken for an empty message: to make objects of a resolved statement takes as long as to resolve it.
    """
    client = ZetaSqlLocalService.get_instance().wasm_client
    request = AnalyzeRequest(sql_statement=statement, options=_options(), registered_catalog_id=_registered())
    client.call_grpc_func("ZetaSqlLocalService_Analyze", request.to_proto())


@cache
def _registered() -> int:
    """Return the number of the catalogue of tables and views in the analyser, which then builds it once."""
    found: int = ZetaSqlLocalService.get_instance().register_catalog(simple_catalog=_product()).registered_id
    return found


@cache
def _product() -> SimpleCatalog:
    """Return the tables and views, as `project.dataset.name` in one pair of backticks and as `dataset.name`."""
    known = {spec.name: {column.name: _type(column) for column in spec.schema} for spec in contract.tables()}
    for view in contract.views(PROJECT, DATASET, 87):
        known[view.name] = dict(_columns(_catalog(known), view.sql))
    return _catalog(known)


def _catalog(known: Mapping[str, Mapping[str, Type]]) -> SimpleCatalog:
    builtin = ZetaSQLBuiltinFunctionOptions(language_options=_language())
    dataset = CatalogBuilder(DATASET)
    project = CatalogBuilder(PROJECT).with_builtin_functions(builtin)
    for name, fields in known.items():
        for catalog, called in ((dataset, name), (project, f"{PROJECT}.{DATASET}.{name}")):
            table = TableBuilder(called)
            for field, kind in fields.items():
                table.add_column(field, kind)
            catalog.add_table(table.build())
    product = project.build()
    product.catalog.append(dataset.build())
    return product


def _columns(catalog: SimpleCatalog, sql: str) -> dict[str, Type]:
    found = _analyzer(catalog).analyze_statement(sql).output_column_list
    return {column.name: column.column.type for column in found}


def _analyzer(catalog: SimpleCatalog) -> Analyzer:
    return Analyzer(_options(), catalog)


@cache
def _options() -> AnalyzerOptions:
    return AnalyzerOptions(language_options=_language(), allow_undeclared_parameters=True)


@cache
def _language() -> LanguageOptions:
    with mock.patch.object(wasm_client, "Config", _QuickToStart):
        ZetaSqlLocalService.get_instance()  # one for the process
    options = LanguageOptions.maximum_features()
    options.product_mode = ProductMode.PRODUCT_EXTERNAL
    return options


def _type(column: contract.Column) -> Type:
    kind = {"FLOAT64": "DOUBLE"}.get(column.type, column.type)
    plain = TypeFactory.create_simple_type(TypeKind[f"TYPE_{kind}"])
    return TypeFactory.create_array_type(plain) if column.mode == "REPEATED" else plain
