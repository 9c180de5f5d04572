/** Questions that are asked before something is done. */

import { t } from "../lib/texts.js";
import { html, useEffect, useId, useRef, useState } from "../lib/ui.js";
import { Problem } from "./states.js";

/** A window over the page; `onClose` is called when it is closed, by whatever means. */
export function Dialog({ title, onClose, children }) {
  const dialog = useRef(null);
  const id = useId();
  useEffect(() => {
    const opener = document.activeElement;
    const shown = dialog.current;
    shown.showModal();
    return () => {
      shown.close();
      // Back to where the user was, for the keyboard.
      if (opener?.isConnected) opener.focus();
    };
  }, []);
  return html`
    <dialog ref=${dialog} aria-labelledby=${id} onClose=${onClose} onCancel=${onClose}>
      <h2 id=${id}>${title}</h2>
      ${children}
    </dialog>
  `;
}

/**
 * Asks whether something is to be done, and does it.
 *
 * @param {{ title: string, text: any, action: string, danger?: boolean, ready?: boolean, perform: () => Promise<void>,
 *   onClose: () => void, children?: any }} props `perform` is run when the user says yes; when it fails, the dialog says
 *   so and stays. `ready` false: there is something to fill in first.
 */
export function Confirm({ title, text, action, danger = false, ready = true, perform, onClose, children }) {
  const [state, setState] = useState({ busy: false, error: null });
  async function submit(event) {
    event.preventDefault();
    setState({ busy: true, error: null });
    try {
      await perform();
      onClose();
    } catch (error) {
      setState({ busy: false, error });
    }
  }
  return html`
    <${Dialog} title=${title} onClose=${onClose}>
      <form onSubmit=${submit}>
        ${text && html`<p>${text}</p>`}
        ${children}
        ${state.error && html`<${Problem} error=${state.error} />`}
        <div class="buttons">
          <button type="button" onClick=${onClose}>${t("app.cancel")}</button>
          <button type="submit" class=${danger ? "danger" : "primary"} disabled=${state.busy || !ready}>${action}</button>
        </div>
      </form>
    <//>
  `;
}
