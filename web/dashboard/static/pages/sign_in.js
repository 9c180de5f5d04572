/** Asks for a credential: an API key or a token. */

import { Text } from "../components/field.js";
import { describe } from "../components/states.js";
import { openSession } from "../lib/api.js";
import { keepCredential, session } from "../lib/session.js";
import { useStore } from "../lib/store.js";
import { t } from "../lib/texts.js";
import { html, useState } from "../lib/ui.js";

export function SignIn() {
  const { reason } = useStore(session);
  const [credential, setCredential] = useState("");
  const [state, setState] = useState({ busy: false, error: reason });
  async function submit(event) {
    event.preventDefault();
    setState({ busy: true, error: null });
    try {
      keepCredential(credential.trim());
      await openSession({ attempts: 1 });
      // Where it is not taken, the session says why.
      setState({ busy: false, error: session.value.reason ?? null });
    } catch (error) {
      setState({ busy: false, error });
    }
  }
  return html`
    <form class="narrow" onSubmit=${submit}>
      <h1>${t("session.title")}</h1>
      <p>${t("session.explanation")}</p>
      <${Text}
        label=${t("session.credential")}
        hint=${t("session.kept")}
        error=${state.error && describe(state.error)}
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
