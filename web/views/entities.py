"""What can be imported: the entities, the form of their rows, and empty files to begin with."""

from __future__ import annotations

import csv
import io
from typing import Any

from aiohttp import web

from app.domain.access import Role
from app.domain.entities import ENTITIES, Entity, find_entity
from app.domain.nearest import suggestion
from app.domain.printable import printable
from web.errors.catalogue import ENTITY_NOT_FOUND
from web.openapi.models import ListedEntity
from web.openapi.operations import Answer, Header, operation
from web.representations import entity_to_response
from web.views.base import ApiView, json_response


class EntitiesView(ApiView):
    """What can be imported."""

    @operation(
        "listEntities",
        {200: Answer("All of them.", list[ListedEntity])},
        role=Role.VIEWER,
    )
    async def get(self, request: web.Request) -> web.Response:
        """List the entities that can be imported."""
        return json_response(list(map(entity_to_response, ENTITIES.values())))


class EntityView(ApiView):
    """The form of the rows of one entity."""

    @operation(
        "getEntity",
        {
            200: Answer(
                "A JSON Schema, draft 2020-12.",
                dict[str, Any],
                media_type="application/schema+json",
                # Without its address: the page that shows the description names no other host.
                example={name: value for name, value in ENTITIES["Contact"].json_schema().items() if name != "$schema"},
            )
        },
        ENTITY_NOT_FOUND,
        role=Role.VIEWER,
        details="`required`, `key` and `unique` name the fields that a record needs, the one that identifies it, and "
        "those of which no two rows of a file may have the same value. In a file the values are text.",
    )
    async def get(self, request: web.Request, entity_type: str) -> web.Response:
        """Describe a row of an entity."""
        response = json_response(entity_of(entity_type).json_schema())
        response.content_type = "application/schema+json"
        return response


class EntityTemplateView(ApiView):
    """An empty file of one entity."""

    @operation(
        "getEntityTemplate",
        {
            200: Answer(
                "A CSV file of a header row.",
                str,
                media_type="text/csv",
                headers={"Content-Disposition": Header("Its name.", 'attachment; filename="Contact.csv"')},
                example="id,name,email,status\r\n",
            )
        },
        ENTITY_NOT_FOUND,
        role=Role.VIEWER,
    )
    async def get(self, request: web.Request, entity_type: str) -> web.Response:
        """Get a file with the columns of an entity and no rows."""
        entity, file = entity_of(entity_type), io.StringIO()
        csv.writer(file).writerow(entity.columns)
        return web.Response(
            text=file.getvalue(),
            content_type="text/csv",
            charset="utf-8",
            headers={"Content-Disposition": f'attachment; filename="{entity.name}.csv"'},
        )


def entity_of(name: str) -> Entity:
    """Return the entity that a path names.

    Raises:
        ApiError: 404: there is none.
    """
    entity = find_entity(name)
    if entity is None:
        raise ENTITY_NOT_FOUND(name=printable(name, 40), suggestion=suggestion(name, ENTITIES))
    return entity
