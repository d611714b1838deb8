/**
 * Writes the pages of docs/ that are generated from a table in src/.
 * `node docs/generate.ts` writes them. With `--check` it writes nothing, names each stale page and exits with 1.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { describeProfiles } from '../src/audio/profiles.ts';
import { flagOf, type SettingKey, settings, variableOf } from '../src/settings/config.ts';

const pages: Record<string, () => string> = {
  'configuration.md': configuration,
  'profiles.md': describeProfiles,
};

/** The heading of each group of settings, by the first setting of the group. */
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
    'Generated from `src/settings/config.ts` by `npm run generate`; change it there.',
    '',
    'Flags override the environment. The environment overrides a `.env` file in the working folder. That file overrides',
    'the defaults. If a value is wrong, or a `PLAYHEAD_` variable is not listed here, the command ends with exit code 64',
    'and one sentence that names it. Everyone who may list processes can read flags, so secrets belong in the',
    'environment or in `.env`.',
  ];
  for (const [key, { kind, default: initial, description, secret }] of Object.entries(settings)) {
    const heading = headings[key as SettingKey];
    if (heading) {
      lines.push('', `## ${heading}`, '', '| variable | flag | value | default | |', '|---|---|---|---|---|');
    }
    const name = `\`${variableOf(key)}\`${secret ? ' (secret)' : ''}`;
    const defaultValue = initial === '' ? '' : `\`${initial}\``;
    lines.push(row(name, `\`--${flagOf(key)}\``, kind.name, defaultValue, description));
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

const isCheck = process.argv.includes('--check');
for (const [name, generate] of Object.entries(pages)) {
  const page = new URL(name, import.meta.url);
  const content = generate();
  if (read(page) === content) continue;
  if (isCheck) {
    console.error(`docs/${name} is stale: run "npm run generate" and commit what it writes.`);
    process.exitCode = 1;
  } else {
    writeFileSync(page, content);
    console.log(`docs/${name} written.`);
  }
}
