// @ts-check

/** @typedef {Node | string | false | undefined} Child */

/**
 * An element with attributes and children. Attributes that start with `on` are listeners. Text never becomes
 * markup.
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
