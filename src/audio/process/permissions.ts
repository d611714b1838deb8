import { existsSync, realpathSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { searchPath } from '../../settings/config.ts';

/** TypeScript when run from the sources, JavaScript when run from the build: the folder above `audio/`. */
const codeFolder = fileURLToPath(new URL('../../', import.meta.url));

/** The options of Node and the environment of a child that parses recordings. */
export interface Permissions {
  execArgv: string[];
  env: Record<string, string>;
}

/**
 * A child may read its code and the packages, and nothing else: no file, no other process. It writes no file and starts
 * no thread. If there is an `ffmpeg` on the path, it may start programs, and gets the folder of ffmpeg as its path.
 *
 * Node applies this to JavaScript and WebAssembly. The native decoder of AAC is outside of it.
 */
export function permissionsOf(program: string): Permissions {
  const readable = [program, codeFolder, ...packageFolders(codeFolder)].map(
    (path) => `--allow-fs-read=${path}`,
  );
  const ffmpegFolder = searchPath()
    .split(delimiter)
    .find((folder) => folder !== '' && existsSync(join(folder, 'ffmpeg')));
  return {
    execArgv: [
      '--permission',
      '--allow-addons',
      ...(ffmpegFolder === undefined ? [] : ['--allow-child-process']),
      ...readable,
    ],
    env: ffmpegFolder === undefined ? {} : { PATH: ffmpegFolder },
  };
}

/** Where Node looks for packages and for the kind of a module: in every folder above the code. */
function packageFolders(folder: string): string[] {
  const parent = dirname(folder);
  const packages = join(parent, 'node_modules');
  const found = existsSync(packages) ? [packages, realpathSync(packages)] : [];
  const own = [...found, join(parent, 'package.json')];
  return parent === folder ? own : [...own, ...packageFolders(parent)];
}
