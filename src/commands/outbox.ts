import type { Job } from '../publishing/outbox.ts';
import { jobStates } from '../unions.ts';
import { type Command, exit, flag, oneOf, print, text, UsageError, withParts } from './command.ts';

export const outbox: Command = {
  words: 2,
  options: {
    state: text(jobStates.join('|'), 'list: only those.'),
    json: flag('list: prints JSON.'),
    all: flag('retry: every dead letter.'),
  },

  run: ({ words: [action = 'list', id], options, config }) =>
    withParts(config, async ({ outbox }) => {
      const state = options.state === undefined ? undefined : oneOf('state', options.state, ...jobStates);
      if (action === 'list' && !id) {
        const jobs = await outbox.list({ state });
        print(options.json ? JSON.stringify(jobs, null, 2) : table(jobs, state));
      } else if (action === 'retry' && options.all && !id) {
        print(`On their way again: ${await outbox.retryDead()}.`);
      } else if (action === 'retry' && id && !options.all) {
        const { accountId, externalId } = await outbox.retry(id);
        print(`${accountId}/${externalId} is on its way again.`);
      } else throw new UsageError('outbox takes list, or retry with an ID or --all.');
      return exit.done;
    }),
};

function table(jobs: Job[], state = ''): string {
  if (jobs.length === 0) return state ? `Nothing in the outbox is ${state}.` : 'The outbox is empty.';
  return jobs
    .map(({ id, state, attempts, accountId, externalId, reason }) =>
      [id, state.padEnd(7), `${attempts}×`, `${accountId}/${externalId}`, reason ?? ''].join('  '),
    )
    .join('\n');
}
