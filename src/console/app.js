// @ts-check
// The web console. It requests /v1 with the key that was entered, and nothing else.
import { check } from './check.js';
import { action, askForKey, byId, formById } from './page.js';
import { list, listMore } from './recordings.js';
import { apiKey } from './v1.js';

/** @type {NodeListOf<HTMLElement>} */
const tabs = document.querySelectorAll('[data-view]');

/** @param {string} name */
function show(name) {
  byId('enter').hidden = true;
  byId('views').hidden = false;
  for (const tab of tabs) {
    const isCurrent = tab.dataset.view === name;
    tab.setAttribute('aria-current', isCurrent ? 'page' : 'false');
    byId(tab.dataset.view ?? '').hidden = !isCurrent;
  }
}

async function enter() {
  const form = formById('enter');
  apiKey.set(String(new FormData(form).get('key')).trim());
  form.reset();
  await start();
}

async function start() {
  await list();
  show('recordings');
}

formById('enter').addEventListener('submit', action(enter));
formById('filter').addEventListener('submit', action(list));
formById('upload').addEventListener('submit', action(check));
byId('more').addEventListener('click', action(listMore));
byId('leave').addEventListener(
  'click',
  action(async () => askForKey()),
);
for (const tab of tabs) {
  tab.addEventListener(
    'click',
    action(async () => show(tab.dataset.view ?? '')),
  );
}

if (apiKey.get()) action(start)();
else askForKey();
