// @ts-check
// The view that checks a file.
import { element } from './element.js';
import { byId, formById } from './page.js';
import { reportParts } from './report.js';
import { v1 } from './v1.js';

/** Checks the chosen file and shows the report. */
export async function check() {
  const chosen = new FormData(formById('upload'));
  const audio = /** @type {File} */ (chosen.get('audio'));
  const form = new FormData();
  form.append('recording', JSON.stringify(declaredIn(chosen)));
  form.append('audio', audio);
  byId('report').hidden = false;
  byId('report').replaceChildren(element('p', { class: 'soft' }, 'Checking…'));
  try {
    const report = await v1('/check', { method: 'POST', body: form });
    byId('report').replaceChildren(element('h2', {}, audio.name), ...reportParts(report));
  } catch (error) {
    byId('report').hidden = true;
    throw error;
  }
}

/** @param {FormData} chosen */
function declaredIn(chosen) {
  const [channels, direction, profile, leg] = ['channels', 'direction', 'profile', 'leg'].map((name) =>
    String(chosen.get(name)).trim(),
  );
  return {
    ...(channels && { channels: channels.split(',') }),
    ...(direction && { direction }),
    ...(profile && { profile }),
    ...(leg && { leg }),
  };
}
