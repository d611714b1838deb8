import { readdirSync, readFileSync } from 'node:fs';

const root = new URL('../../', import.meta.url);

export function read(path: string): string {
  return readFileSync(new URL(path, root), 'utf8');
}

/** The text of each file in a folder, by its path inside the folder: `streaming/range.ts` in `src/`. */
export function textsOf(folder: string, endings = ['.ts']): Record<string, string> {
  const names = readdirSync(new URL(folder, root), { recursive: true, encoding: 'utf8' });
  const wanted = names.filter((name) => endings.some((ending) => name.endsWith(ending))).sort();
  return Object.fromEntries(wanted.map((name) => [name, read(folder + name)]));
}
