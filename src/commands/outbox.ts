import type { Job } from '../publishing/job.ts';
import { jobStates } from '../unions.ts';
import {
  type Command,
  exitCode,
  flag,
  option,
  parseChoice,
  print,
  UsageError,
  withParts,
} from './command.ts';

export const outbox: Command = {
  maxArgs: 2,
  options: {
    state: option(jobStates.join('|'), 'For list: only jobs in this state.'),
    json: flag('For list: print JSON.'),
    all: flag('For retry: all dead letters.'),
  },

  run: ({ args: [action = 'list', id], options, config }) =>
    withParts(config, async ({ outbox }) => {
      const state =
        options.state === undefined ? undefined : parseChoice('state', options.state, ...jobStates);
      if (action === 'list' && !id) {
        const jobs = await outbox.list({ state });
        print(options.json ? JSON.stringify(jobs, null, 2) : table(jobs, state));
      } else if (action === 'retry' && options.all && !id) {
        print(`Dead letters queued again: ${await outbox.retryDead()}.`);
      } else if (action === 'retry' && id && !options.all) {
        const { accountId, externalId } = await outbox.retry(id);
        print(`${accountId}/${externalId} is queued again.`);
      } else {
        throw new UsageError('Use outbox list, outbox retry ID or outbox retry --all.');
      }
      return exitCode.done;
    }),
};

function table(jobs: Job[], state = ''): string {
  if (jobs.length === 0) return state ? `The outbox has no ${state} jobs.` : 'The outbox is empty.';
  const rows = jobs.map(({ id, state, attempts, accountId, externalId, reason }) =>
    [id, state.padEnd(7), `${attempts}×`, `${accountId}/${externalId}`, reason ?? ''].join('  '),
  );
  return rows.join('\n');
}
