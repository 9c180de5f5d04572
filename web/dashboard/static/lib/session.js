/**
 * On whose behalf the page asks: the credential, kept for the tab only, and what the server says of it.
 *
 * `session` is `{ state: "starting" | "signed-out" | "open", … }`; an open one has the answer of `GET /whoami`.
 */

import { Store } from "./store.js";

const CREDENTIAL = "bulk.credential";
const ACCOUNT = "bulk.account";
export const ROLES = ["viewer", "operator", "admin"];

export const session = new Store({ state: "starting" });

/** The headers that say on whose behalf a request is. */
export function credentialHeaders() {
  const credential = sessionStorage.getItem(CREDENTIAL);
  const account = sessionStorage.getItem(ACCOUNT);
  return {
    ...(credential ? asHeader(credential) : {}),
    // Where no credential is asked for, the account is the one that is named.
    ...(account ? { accountid: account } : {}),
  };
}

function asHeader(credential) {
  return credential.startsWith("bulk_") ? { "X-API-Key": credential } : { Authorization: `Bearer ${credential}` };
}

/** Whether a text can be a credential: neither a key nor a token has other characters, and a header takes no others. */
export const isCredential = (text) => /^[\x21-\x7e]+$/.test(text);

export function keepCredential(credential) {
  sessionStorage.setItem(CREDENTIAL, credential);
}

/** Keeps the account that is named where no credential is asked for; an empty one is the usual account. */
export function keepAccount(account) {
  if (account) sessionStorage.setItem(ACCOUNT, account);
  else sessionStorage.removeItem(ACCOUNT);
}

/** Forgets the credential; `reason` is an error of the server that says why, where there is one. */
export function signOut(reason = null) {
  const had = sessionStorage.getItem(CREDENTIAL) !== null;
  sessionStorage.removeItem(CREDENTIAL);
  // What is refused at the same time says the same; the first has had the credential.
  if (!had && session.value.state === "signed-out") return;
  session.set({
    state: "signed-out",
    reason: had ? reason : null,
    ended: session.value.state === "open" && reason !== null,
  });
}

/** Whether the role of the session is enough for what needs `role`. */
export function may(role) {
  const own = session.value.state === "open" ? ROLES.indexOf(session.value.role) : -1;
  return own >= ROLES.indexOf(role);
}
