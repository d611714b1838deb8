/**
 * Writes the pages of docs/ that repeat what a table in src/ already says.
 * `node docs/generate.ts` writes them; with `--check` it writes nothing and exits 1 naming each stale page.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { describeProfiles } from '../src/audio/profiles.ts';
import { flagOf, type SettingKey, settings, variableOf } from '../src/settings/config.ts';

const pages: Record<string, () => string> = {
  'configuration.md': configuration,
  'profiles.md': describeProfiles,
};

/** Each heading stands above the setting that begins its group. */
const headings: Partial<Record<SettingKey, string>> = {
  host: 'Address',
  dataDir: 'Storage',
  apiKeys: 'Access',
  channelPolicy: 'Recordings',
  cacheMemory: 'Block cache',
  rateLimit: 'Limits and processes',
  hubspotAppId: 'HubSpot',
  logLevel: 'Log',
};

function configuration(): string {
  const lines = [
    '# Configuration',
    '',
    'Made from `src/settings/config.ts` by `npm run generate`; change it there.',
    '',
    'A flag wins over the environment, the environment over a `.env` file in the working folder, and that over the',
    'default. A wrong value, or a `PLAYHEAD_` variable that is not listed here, stops the start with exit code 64 and',
    'one sentence that names it. A flag can be read by everyone who may list processes, so secrets belong in the',
    'environment or in `.env`.',
  ];
  for (const [key, { kind, default: initial, says, secret }] of Object.entries(settings)) {
    const heading = headings[key as SettingKey];
    if (heading) {
      lines.push('', `## ${heading}`, '', '| variable | flag | value | default | |', '|---|---|---|---|---|');
    }
    const name = `\`${variableOf(key)}\`${secret ? ' (secret)' : ''}`;
    const standard = initial === '' ? '' : `\`${initial}\``;
    lines.push(row(name, `\`--${flagOf(key)}\``, kind.name, standard, says));
  }
  return `${lines.join('\n')}\n`;
}

function row(...cells: string[]): string {
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
}

function read(page: URL): string | undefined {
  try {
    return readFileSync(page, 'utf8');
  } catch {
    return undefined;
  }
}

const checking = process.argv.includes('--check');
for (const [name, write] of Object.entries(pages)) {
  const page = new URL(name, import.meta.url);
  const content = write();
  if (read(page) === content) continue;
  if (checking) {
    console.error(`docs/${name} is stale: run "npm run generate" and commit what it writes.`);
    process.exitCode = 1;
  } else {
    writeFileSync(page, content);
    console.log(`docs/${name} written.`);
  }
}
