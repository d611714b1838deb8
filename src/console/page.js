// @ts-check
// What every view uses: elements by their id, the message at the top, buttons, and the form for the key.
import { element } from './element.js';
import { apiKey, UnknownKeyError } from './v1.js';

/** @param {string} id */
export function byId(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`The page has no element "${id}".`);
  return found;
}

/** @param {string} id */
export function formById(id) {
  return /** @type {HTMLFormElement} */ (byId(id));
}

/**
 * Shows a sentence at the top of the page.
 *
 * @param {string} sentence
 * @param {'' | 'fail'} [kind]
 */
export function showMessage(sentence, kind = '') {
  byId('message').textContent = sentence;
  byId('message').className = kind;
}

/**
 * A listener that does the work and shows its result, or its error, at the top of the page.
 *
 * @param {() => Promise<string | void>} work
 * @returns {(event?: Event) => Promise<void>}
 */
export function action(work) {
  return async (event) => {
    event?.preventDefault();
    showMessage('');
    try {
      showMessage((await work()) ?? '');
    } catch (error) {
      if (error instanceof UnknownKeyError) askForKey();
      showMessage(/** @type {Error} */ (error).message, 'fail');
    }
  };
}

/**
 * @param {string} label
 * @param {() => Promise<string | void>} work what a click does
 */
export function button(label, work) {
  return element('button', { type: 'button', onclick: action(work) }, label);
}

/** Forgets the key and shows only the form for another. */
export function askForKey() {
  apiKey.forget();
  for (const id of ['views', 'recordings', 'check']) byId(id).hidden = true;
  byId('enter').hidden = false;
  byId('enter').querySelector('input')?.focus();
}
