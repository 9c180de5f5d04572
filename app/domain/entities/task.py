"""Tasks."""

from __future__ import annotations

from typing import Annotated, NotRequired, TypedDict

from app.domain.entities.entity import Entity
from app.domain.entities.types import Boolean, DateTime, Description, Email, Identifier, Name, OneOf

TaskStatus = Annotated[str, OneOf("status", "open", "in_progress", "done", "cancelled")]
Priority = Annotated[str, OneOf("priority", "low", "normal", "high")]


class Task(TypedDict):
    """Something that somebody is to do."""

    id: Identifier
    subject: Name
    status: TaskStatus
    priority: NotRequired[Priority]
    description: NotRequired[Description]
    assignee: NotRequired[Email]
    contactId: NotRequired[Identifier]
    dueAt: NotRequired[DateTime]
    private: NotRequired[Boolean]


TASK = Entity(name="Task", model=Task, collection="tasks")
