/** The dashboard: opens the session, and shows the page that the address names. */

import { Layout } from "./components/layout.js";
import { Empty, Loading, Problem } from "./components/states.js";
import { openSession, Unreachable } from "./lib/api.js";
import { route } from "./lib/router.js";
import { may, session } from "./lib/session.js";
import { useStore } from "./lib/store.js";
import { language, t } from "./lib/texts.js";
import { html, render, useEffect, useState } from "./lib/ui.js";
import { HOME, loaded, loadRest, PAGES } from "./pages/index.js";
import { SignIn } from "./pages/sign_in.js";

/** What the tab is called: the page first, because tabs are narrow. */
function useTitle(state, { parts }, shown) {
  const page = PAGES.find((each) => each.title && each.name === parts[0]);
  const named = state === "signed-out" ? t("session.title") : page && t(page.title);
  useEffect(() => {
    document.title = [named, t("app.name")].filter(Boolean).join(" – ");
  }, [named, shown]);
}

function App() {
  const { state, accountId } = useStore(session);
  const shown = useStore(language);
  useTitle(state, useStore(route), shown);
  const [error, setError] = useState(null);
  function open() {
    setError(null);
    openSession().catch(setError);
  }
  useEffect(open, []);
  useEffect(() => {
    document.documentElement.lang = shown;
  }, [shown]);
  let content = html`<${Page} key=${`${accountId} ${shown}`} />`;
  if (error) content = html`<${Problem} error=${error} retry=${open} />`;
  else if (state === "starting") content = html`<${Loading} />`;
  else if (state === "signed-out") content = html`<${SignIn} key=${shown} />`;
  return html`<${Layout} pages=${PAGES}>${content}<//>`;
}

function Page() {
  const { parts } = useStore(route);
  const name = parts[0] ?? (may("operator") ? HOME : "actions");
  const found = PAGES.find((page) => page.name === name && parts.length <= page.parts);
  if (!found) return html`<${Empty}><h1>${t("app.noPage")}</h1><a href="#/">${t("app.toBeginning")}</a><//>`;
  if (!may(found.role))
    return html`<${Empty}><h1>${t("app.notAllowed")}</h1><p>${t("app.needsRole", { role: t(`roles.${found.role}`) })}</p><//>`;
  return html`<${Found} key=${parts.join("/")} page=${found} parts=${parts} />`;
}

function Found({ page, parts }) {
  const [component, setComponent] = useState(() => page.component);
  const [failed, setFailed] = useState(false);
  useEffect(() => {
    loaded(page).then(
      (found) => {
        setComponent(() => found);
        loadRest();
      },
      () => setFailed(true),
    );
  }, [page]);
  if (component) return html`<${component} parts=${parts} />`;
  return html`
    <div class="heading"><h1>${t(page.title ?? "app.name")}</h1></div>
    ${
      // A browser does not ask again for a module that it could not have.
      failed ? html`<${Problem} error=${new Unreachable()} retry=${() => location.reload()} />` : html`<${Loading} />`
    }
  `;
}

render(html`<${App} />`, document.getElementById("app"));
