/** Names for requests, so that one whose answer was lost can be sent again without being done twice. */

/** A new `Idempotency-Key`. (`crypto.randomUUID` is for pages that came over TLS only.) */
export function newKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
