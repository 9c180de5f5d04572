"""Names of the headers that requests and answers of the API have beside those of HTTP itself."""

from __future__ import annotations

from app.adapters.authentication import ACCOUNT_HEADER, KEY_HEADER

ACCOUNT = ACCOUNT_HEADER
API_KEY = KEY_HEADER
FORWARDED_FOR = "X-Forwarded-For"
REQUEST_ID = "X-Request-ID"
IDEMPOTENCY_KEY = "Idempotency-Key"
IDEMPOTENCY_REPLAYED = "Idempotency-Replayed"
CELLS_DEFUSED = "X-Cells-Defused"
RATE_LIMIT = "X-RateLimit-Limit"
RATE_LIMIT_REMAINING = "X-RateLimit-Remaining"
RATE_LIMIT_RESET = "X-RateLimit-Reset"
