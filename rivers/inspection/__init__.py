"""Inspection of a project without running it: the answers behind `rivers assets`, `rivers graph` and `rivers ui`.

Every function takes a resolved repository, a graph, a configuration or an event, and returns records. Nothing is
printed. `Project` locates the repository, the configuration and the event log of a folder.
"""

from __future__ import annotations

from rivers_core.authoring import lazy_exports

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rivers.inspection.assets import AssetSummary as AssetSummary
    from rivers.inspection.assets import summarize_assets as summarize_assets
    from rivers.inspection.check import Report as Report
    from rivers.inspection.check import StoreTest as StoreTest
    from rivers.inspection.check import check_project as check_project
    from rivers.inspection.errors import HandlerFailedError as HandlerFailedError
    from rivers.inspection.errors import ProjectError as ProjectError
    from rivers.inspection.errors import ProjectImportError as ProjectImportError
    from rivers.inspection.errors import describe_error as describe_error
    from rivers.inspection.events import event_document as event_document
    from rivers.inspection.events import log_document as log_document
    from rivers.inspection.events import run_document as run_document
    from rivers.inspection.events import stored_size as stored_size
    from rivers.inspection.handlers import HandlerUsage as HandlerUsage
    from rivers.inspection.handlers import find_handler as find_handler
    from rivers.inspection.handlers import format_setting as format_setting
    from rivers.inspection.handlers import handler_names as handler_names
    from rivers.inspection.handlers import handler_settings as handler_settings
    from rivers.inspection.layout import BOX_HEIGHT as BOX_HEIGHT
    from rivers.inspection.layout import Layout as Layout
    from rivers.inspection.layout import compute_layout as compute_layout
    from rivers.inspection.lineage import Edge as Edge
    from rivers.inspection.lineage import Lineage as Lineage
    from rivers.inspection.lineage import Node as Node
    from rivers.inspection.lineage import build_lineage as build_lineage
    from rivers.inspection.preview import Preview as Preview
    from rivers.inspection.preview import preview_value as preview_value
    from rivers.inspection.preview import type_name as type_name
    from rivers.inspection.project import Project as Project
    from rivers.inspection.settings import config_document as config_document
    from rivers.inspection.settings import plugin_document as plugin_document
else:
    __getattr__, __dir__, __all__ = lazy_exports(
        __name__,
        {
            "rivers.inspection.assets": ["AssetSummary", "summarize_assets"],
            "rivers.inspection.check": ["Report", "StoreTest", "check_project"],
            "rivers.inspection.errors": [
                "HandlerFailedError",
                "ProjectError",
                "ProjectImportError",
                "describe_error",
            ],
            "rivers.inspection.events": ["event_document", "log_document", "run_document", "stored_size"],
            "rivers.inspection.handlers": [
                "HandlerUsage",
                "find_handler",
                "format_setting",
                "handler_names",
                "handler_settings",
            ],
            "rivers.inspection.layout": ["BOX_HEIGHT", "Layout", "compute_layout"],
            "rivers.inspection.lineage": ["Edge", "Lineage", "Node", "build_lineage"],
            "rivers.inspection.preview": ["Preview", "preview_value", "type_name"],
            "rivers.inspection.project": ["Project"],
            "rivers.inspection.settings": ["config_document", "plugin_document"],
        },
    )
