import { type Command, exit, print, UsageError, withParts } from './command.ts';

export const keys: Command = {
  words: 2,

  run: ({ words: [action = 'list', kid], config }) =>
    withParts(config, async ({ tokens }) => {
      if (action === 'list' && !kid) {
        for (const key of await tokens.keys()) {
          const state = key.active
            ? 'signs'
            : key.retiredAt
              ? `retired ${key.retiredAt.toISOString()}`
              : 'verifies';
          print(`${key.kid}  ${key.createdAt.toISOString()}  ${state}`);
        }
      } else if (action === 'rotate' && !kid) print(await tokens.rotate());
      else if (action === 'retire' && kid) {
        await tokens.retire(kid);
        print(`${kid} is retired: no URL that it signed works any more.`);
      } else throw new UsageError('keys takes list, rotate or retire KID.');
      return exit.done;
    }),
};
