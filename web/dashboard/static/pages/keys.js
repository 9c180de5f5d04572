/** The API keys of the account: which there are, making and revoking them. */

import { Confirm, Dialog } from "../components/dialog.js";
import { Choice, Text } from "../components/field.js";
import { List } from "../components/states.js";
import { Time } from "../components/time.js";
import { endOfDay } from "../domain/moments.js";
import { change, path } from "../lib/api.js";
import { usePages } from "../lib/load.js";
import { tell } from "../lib/notices.js";
import { refine, route } from "../lib/router.js";
import { ROLES, session } from "../lib/session.js";
import { useStore } from "../lib/store.js";
import { t } from "../lib/texts.js";
import { html, useRef, useState } from "../lib/ui.js";

const STATES = ["active", "expired", "revoked"];
/** Days after which a key may expire; beside these, never, and on a day that is chosen. */
const DAYS = ["30", "90", "365"];

export function Keys() {
  const { query } = useStore(route);
  const state = query.get("state") ?? "";
  const pages = usePages("/api-keys", { state, limit: 50 });
  const [making, setMaking] = useState(false);
  const [made, setMade] = useState(null);
  const [revoking, setRevoking] = useState(null);
  const makeButton = useRef(null);
  const open = session.value.authMode === "none";
  const own = revoking?.keyId === session.value.keyId;
  async function revoke() {
    const key = await change("DELETE", path("api-keys", revoking.keyId));
    pages.replace((before) => ({
      ...before,
      items: before.items.map((each) => (each.keyId === key.keyId ? key : each)),
    }));
    tell(t("keys.revoked", { name: nameOf(key) }));
    // Which is refused, and leads to where another one can be given.
    if (own) pages.reload();
  }
  return html`
    <div class="heading">
      <h1>${t("keys.title")}</h1>
      ${!open && html`<button type="button" class="primary" ref=${makeButton} onClick=${() => setMaking(true)}>${t("keys.make")}</button>`}
    </div>
    ${open && html`<p class="warning">${t("problems.API_IS_OPEN")}</p>`}
    <div class="filters">
      <${Choice} label=${t("keys.state")} value=${state} options=${[["", t("app.all")], ...STATES.map((each) => [each, t(`keyStates.${each}`)])]} onChange=${(chosen) => refine({ state: chosen })} />
    </div>
    <${List} pages=${pages} empty=${html`<p>${t(state ? "keys.noneFound" : "keys.none")}</p>`}>
      ${(keys) => html`
        <table class="list">
          <thead>
            <tr>
              <th scope="col">${t("keys.name")}</th>
              <th scope="col">${t("keys.role")}</th>
              <th scope="col">${t("keys.state")}</th>
              <th scope="col">${t("keys.made")}</th>
              <th scope="col">${t("keys.expires")}</th>
              <th scope="col"><span class="hidden">${t("keys.revoke")}</span></th>
            </tr>
          </thead>
          <tbody>${keys.map((key) => html`<${Row} key=${key.keyId} apiKey=${key} onRevoke=${() => setRevoking(key)} />`)}</tbody>
        </table>
      `}
    <//>
    ${making && html`<${Make} onMade=${setMade} onClose=${() => setMaking(false)} />`}
    ${
      made &&
      html`<${Made} made=${made} onClose=${() => {
        setMade(null);
        pages.reload();
        makeButton.current.focus();
      }} />`
    }
    ${
      revoking &&
      html`
        <${Confirm} title=${t("keys.revokeOne", { name: nameOf(revoking) })} text=${t("keys.revokeText")} action=${t("keys.revoke")} danger perform=${revoke} onClose=${() => setRevoking(null)}>
          ${own && html`<p class="warning">${t("keys.revokeOwn")}</p>`}
        <//>
      `
    }
  `;
}

const nameOf = (key) => key.name || key.keyId;

function Row({ apiKey, onRevoke }) {
  const { keyId, name, role, state, createdAt, createdBy, expiresAt, revokedAt, revokedBy } = apiKey;
  return html`
    <tr>
      <th scope="row">
        ${name || t("keys.unnamed")}
        <span class="quiet"><span class="code">${keyId}</span>${keyId === session.value.keyId && ` · ${t("keys.own")}`}</span>
      </th>
      <td data-label=${t("keys.role")}>${t(`roles.${role}`)}</td>
      <td data-label=${t("keys.state")}>
        <div>
          <span class=${`status key-${state}`}>${t(`keyStates.${state}`)}</span>
          ${revokedAt && html`<div class="quiet"><${Time} at=${revokedAt} /> ${revokedBy}</div>`}
        </div>
      </td>
      <td data-label=${t("keys.made")}><div><${Time} at=${createdAt} /><div class="quiet">${createdBy}</div></div></td>
      <td data-label=${t("keys.expires")}>${expiresAt ? html`<${Time} at=${expiresAt} />` : t("keys.never")}</td>
      <td data-label=${t("keys.revoke")}>
        ${state === "active" && html`<button type="button" onClick=${onRevoke} aria-label=${t("keys.revokeOne", { name: nameOf(apiKey) })}>${t("keys.revoke")}</button>`}
      </td>
    </tr>
  `;
}

function Make({ onMade, onClose }) {
  const [role, setRole] = useState("viewer");
  const [name, setName] = useState("");
  const [expires, setExpires] = useState("90");
  const [day, setDay] = useState("");
  async function perform() {
    const until = expires === "never" ? null : expires === "day" ? endOfDay(day) : `${expires}d`;
    onMade(await change("POST", "/api-keys", { json: { role, name: name.trim(), expires: until } }));
  }
  const choices = [
    ...DAYS.map((days) => [days, t("keys.days", { count: Number(days) })]),
    ["day", t("keys.day")],
    ["never", t("keys.never")],
  ];
  return html`
    <${Confirm} title=${t("keys.make")} action=${t("keys.make")} ready=${expires !== "day" || day !== ""} perform=${perform} onClose=${onClose}>
      <${Text} label=${t("keys.name")} hint=${t("keys.nameHint")} value=${name} onInput=${setName} maxlength="100" autocomplete="off" />
      <${Choice} label=${t("keys.role")} hint=${t(`roleHints.${role}`)} value=${role} options=${ROLES.map((each) => [each, t(`roles.${each}`)])} onChange=${setRole} />
      <${Choice} label=${t("keys.expires")} value=${expires} options=${choices} onChange=${setExpires} />
      ${expires === "day" && html`<${Text} label=${t("keys.until")} hint=${t("keys.untilHint")} type="date" value=${day} onInput=${setDay} required />`}
    <//>
  `;
}

/** The key that was just made; nobody is told it again. */
function Made({ made, onClose }) {
  const [copied, setCopied] = useState(false);
  const field = useRef(null);
  async function copy() {
    field.current.select();
    // Browsers have a clipboard for pages of https and of this machine; for others the key stays selected.
    if (navigator.clipboard)
      await navigator.clipboard.writeText(made.key).then(
        () => setCopied(true),
        () => {},
      );
  }
  return html`
    <${Dialog} title=${t("keys.madeOne", { name: nameOf(made) })} onClose=${onClose}>
      <p class="warning">${t("keys.once")}</p>
      <div class="field">
        <label for="made-key">${t("keys.key")}</label>
        <input id="made-key" class="code" ref=${field} value=${made.key} readonly autocomplete="off" onFocus=${(event) => event.target.select()} />
      </div>
      <p role="status">${copied && t("keys.copied")}</p>
      <div class="buttons">
        <button type="button" onClick=${copy}>${t("keys.copy")}</button>
        <button type="button" class="primary" onClick=${onClose}>${t("app.close")}</button>
      </div>
    <//>
  `;
}
