import type { KeyState } from '../access/keyring.ts';
import { type Command, exitCode, print, UsageError, withParts } from './command.ts';

export const keys: Command = {
  maxArgs: 2,

  run: ({ args: [action = 'list', kid], config }) =>
    withParts(config, async ({ tokens }) => {
      if (action === 'list' && !kid) {
        for (const key of await tokens.keys()) {
          print(`${key.kid}  ${key.createdAt.toISOString()}  ${stateOf(key)}`);
        }
      } else if (action === 'rotate' && !kid) {
        print(await tokens.rotate());
      } else if (action === 'retire' && kid) {
        await tokens.retire(kid);
        print(`${kid} is retired. The URLs that it signed are no longer valid.`);
      } else {
        throw new UsageError('Use keys list, keys rotate or keys retire KID.');
      }
      return exitCode.done;
    }),
};

function stateOf({ active, retiredAt }: KeyState): string {
  if (active) return 'signs';
  return retiredAt ? `retired ${retiredAt.toISOString()}` : 'verifies';
}
