/** Fields of a form, each with its label, a hint, and what is wrong with it. */

import { html, useId } from "../lib/ui.js";

/**
 * @param {{ label: string, hint?: any, error?: string, children: (attributes: object) => any }} props `children` draws
 *   the input with these attributes, which tie it to label, hint and error
 */
export function Field({ label, hint, error, children }) {
  const id = useId();
  const described = [hint && `${id}-hint`, error && `${id}-error`].filter(Boolean).join(" ");
  return html`
    <div class="field">
      <label for=${id}>${label}</label>
      ${children({ id, "aria-describedby": described || undefined, "aria-invalid": error ? "true" : undefined })}
      ${hint && html`<p class="hint" id=${`${id}-hint`}>${hint}</p>`}
      ${error && html`<p class="error" id=${`${id}-error`}>${error}</p>`}
    </div>
  `;
}

/** A choice of one of `options`: `[[value, text], …]`. */
export function Choice({ label, hint, error, value, options, onChange, ...rest }) {
  return html`
    <${Field} label=${label} hint=${hint} error=${error}>
      ${(attributes) => html`
        <select ...${attributes} ...${rest} value=${value} onChange=${(event) => onChange(event.target.value)}>
          ${options.map(([each, text]) => html`<option key=${each} value=${each} selected=${each === value}>${text}</option>`)}
        </select>
      `}
    <//>
  `;
}

/** A line of text. */
export function Text({ label, hint, error, value, onInput, ...rest }) {
  return html`
    <${Field} label=${label} hint=${hint} error=${error}>
      ${(attributes) => html`<input type="text" ...${attributes} ...${rest} value=${value} onInput=${(event) => onInput(event.target.value)} />`}
    <//>
  `;
}
