/** What stands around every page: the navigation, the notices, and whose data is shown. */

import { openSession } from "../lib/api.js";
import { lostSince, outdated } from "../lib/connection.js";
import { dismiss, notices } from "../lib/notices.js";
import { href, route } from "../lib/router.js";
import { keepAccount, may, session, signOut } from "../lib/session.js";
import { useStore } from "../lib/store.js";
import { chooseLanguage, language, languages, t } from "../lib/texts.js";
import { classes, html, useEffect, useRef, useState } from "../lib/ui.js";
import { Confirm } from "./dialog.js";
import { Text } from "./field.js";

export function Layout({ pages, children }) {
  const main = useRef(null);
  const { parts } = useStore(route);
  const { state } = useStore(session);
  const here = parts[0] ?? "";
  const place = `${state} ${parts.join("/")}`;
  const before = useRef(place);
  // A new page is read from its beginning; of the first one the browser itself takes care.
  useEffect(() => {
    if (before.current === place) return;
    const first = before.current.startsWith("starting");
    before.current = place;
    if (state === "open" && !first) main.current.focus();
    window.scrollTo(0, 0);
  }, [place]);
  return html`
    <a class="skip" href="#main" onClick=${(event) => {
      event.preventDefault();
      main.current.focus();
    }}>${t("app.skip")}</a>
    <header>
      <a class="brand" href="#/">${t("app.name")}</a>
      <nav aria-label=${t("app.pages")}>
        <ul>
          ${pages
            .filter((page) => page.title && may(page.role))
            .map(
              (page) => html`
                <li key=${page.name}>
                  <a href=${href([page.name])} aria-current=${page.name === here ? "page" : undefined}>${t(page.title)}</a>
                </li>
              `,
            )}
        </ul>
      </nav>
      <${Account} />
    </header>
    <${Notices} />
    <main id="main" tabindex="-1" ref=${main}>${children}</main>
  `;
}

function Account() {
  const current = useStore(session);
  const shown = useStore(language);
  const [asking, setAsking] = useState(false);
  return html`
    <div class="account">
      ${
        current.state === "open" &&
        html`
          <span class="who"><b>${current.accountId}</b> ${t(`roles.${current.role}`)}</span>
          ${
            current.authMode === "required"
              ? html`<button type="button" class="plain" onClick=${() => signOut()}>${t("session.signOut")}</button>`
              : html`<button type="button" class="plain" onClick=${() => setAsking(true)}>${t("session.otherAccount")}</button>`
          }
        `
      }
      <label class="language">
        <span class="hidden">${t("app.language")}</span>
        <select value=${shown} onChange=${(event) => chooseLanguage(event.target.value)}>
          ${Object.entries(languages).map(([code, name]) => html`<option key=${code} value=${code} lang=${code} selected=${code === shown}>${name}</option>`)}
        </select>
      </label>
      ${asking && html`<${OtherAccount} onClose=${() => setAsking(false)} />`}
    </div>
  `;
}

/** Where no credential is asked for, whoever is here names the account. */
function OtherAccount({ onClose }) {
  const before = session.value.accountId;
  const [account, setAccount] = useState(before);
  async function perform() {
    keepAccount(account.trim());
    try {
      await openSession({ attempts: 1 });
    } catch (error) {
      keepAccount(before);
      throw error;
    }
  }
  return html`
    <${Confirm} title=${t("session.otherAccount")} action=${t("session.show")} perform=${perform} onClose=${onClose}>
      <${Text} label=${t("session.account")} hint=${t("session.accountHint")} value=${account} onInput=${setAccount} required maxlength="64" autocomplete="off" />
    <//>
  `;
}

function Notices() {
  const shown = useStore(notices);
  const lost = useStore(lostSince);
  const old = useStore(outdated);
  return html`
    <div class="notices">
      <div role="status">
        ${lost !== null && html`<p class="notice problem">${t("app.lost")}</p>`}
        ${
          old &&
          html`<p class="notice">${t("app.outdated")} <button type="button" class="plain" onClick=${() => location.reload()}>${t("app.reload")}</button></p>`
        }
        ${shown.map(
          (notice) => html`
            <p key=${notice.id} class=${classes("notice", notice.kind)}>
              ${notice.text}
              <button type="button" class="plain" aria-label=${t("app.dismiss")} onClick=${() => dismiss(notice.id)}>×</button>
            </p>
          `,
        )}
      </div>
    </div>
  `;
}
