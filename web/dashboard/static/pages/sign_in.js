/** Asks for a credential: an API key or a token. */

import { Text } from "../components/field.js";
import { describe } from "../components/states.js";
import { openSession } from "../lib/api.js";
import { isCredential, keepCredential, session } from "../lib/session.js";
import { useStore } from "../lib/store.js";
import { t } from "../lib/texts.js";
import { html, useEffect, useRef, useState } from "../lib/ui.js";

export function SignIn() {
  const { reason, ended } = useStore(session);
  const form = useRef(null);
  const [credential, setCredential] = useState("");
  const [state, setState] = useState({ busy: false, error: reason && !ended ? describe(reason) : null });
  useEffect(() => form.current.elements[0].focus(), []);
  async function submit(event) {
    event.preventDefault();
    const typed = credential.trim();
    if (!isCredential(typed)) {
      setState({ busy: false, error: t("session.impossible") });
      return;
    }
    setState({ busy: true, error: null });
    try {
      keepCredential(typed);
      await openSession({ attempts: 1 });
      // Where it is not taken, the session says why.
      setState({ busy: false, error: session.value.reason ? describe(session.value.reason) : null });
    } catch (error) {
      setState({ busy: false, error: describe(error) });
    }
    form.current?.elements[0].focus();
  }
  return html`
    <form class="narrow panel" ref=${form} onSubmit=${submit}>
      <h1>${t("session.title")}</h1>
      ${ended && html`<p class="warning" role="alert">${t("session.ended")}</p>`}
      <p>${t("session.explanation")}</p>
      <${Text}
        label=${t("session.credential")}
        hint=${t("session.kept")}
        error=${state.error}
        value=${credential}
        onInput=${setCredential}
        type="password"
        autocomplete="off"
        spellcheck=${false}
        required
      />
      <div class="buttons"><button type="submit" class="primary" disabled=${state.busy || !credential.trim()}>${t("session.signIn")}</button></div>
    </form>
  `;
}
