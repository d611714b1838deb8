// @ts-check

/** @typedef {Node | string | false | undefined} Child */

/**
 * An element with attributes and children. An attribute whose value is a function is a listener, and its name is
 * `on` and the event. Text never becomes markup.
 *
 * @template {keyof HTMLElementTagNameMap} Name
 * @param {Name} name
 * @param {Record<string, string | EventListener>} [attributes]
 * @param {...Child} children
 * @returns {HTMLElementTagNameMap[Name]}
 */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === 'string') made.setAttribute(key, value);
    else made.addEventListener(key.slice('on'.length), value);
  }
  made.append(...children.filter((child) => child !== undefined && child !== false));
  return made;
}
