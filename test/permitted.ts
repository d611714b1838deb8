import { pathToFileURL } from 'node:url';

// Loaded before each test file (`node-arg` in package.json). tap instruments every process that a test starts, by code
// that Node's permission model forbids. The children that check recordings have that model, so they are left out.

interface Spawned {
  args: readonly string[];
  env: Record<string, string>;
}

const state = Reflect.get(globalThis, Symbol.for('process-on-spawn@*:singletonId')) as
  | { listeners: ((spawned: Spawned) => void)[] }
  | undefined;

/** Loads this file in the processes that a test starts, too: a gateway starts children of its own. */
const own = `--import=${pathToFileURL(import.meta.filename)}`;

state?.listeners.push((spawned) => {
  const { NODE_OPTIONS = '', ...env } = spawned.env;
  if (spawned.args.includes('--permission')) {
    const isOurs = ([name]: [string, string]) => !name.startsWith('_TAPJS_');
    spawned.env = Object.fromEntries(Object.entries(env).filter(isOurs));
  } else if (!NODE_OPTIONS.includes(own)) {
    spawned.env = { ...env, NODE_OPTIONS: `${NODE_OPTIONS} ${own}` };
  }
});
