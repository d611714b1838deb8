import { moveDatabase as run } from '../maintenance/move-database.ts';
import { databaseUrl } from '../settings/kinds.ts';
import { type Command, exitCode, flag, option, print, requireOption, UsageError } from './command.ts';
import { Progress } from './progress.ts';

export const moveDatabase: Command = {
  options: {
    to: option('postgres://…', 'URL of an empty Postgres database.'),
    json: flag('Print JSON.'),
  },

  async run({ options, config }) {
    const to = requireOption(options, 'to');
    if (!isPostgres(databaseUrl.parse(to))) throw new UsageError('--to must start with postgres://.');
    if (isPostgres(config.databaseUrl)) {
      throw new UsageError(
        'PLAYHEAD_DATABASE_URL must be the SQLite database to move: it names a Postgres database.',
      );
    }
    const progress = new Progress();
    let rows = 0;
    const summary = await run({
      from: config.databaseUrl,
      to,
      onProgress: (more) => {
        rows += more;
        progress.show(`${rows} rows copied`);
      },
    }).finally(() => progress.end());
    if (options.json) print(JSON.stringify(summary, null, 2));
    else {
      for (const [table, count] of Object.entries(summary.tables)) print(`${table.padEnd(24)} ${count}`);
      print(
        [
          `The database is ${summary.target} now. Its rows are those of the old one.`,
          'Next: restart every gateway with PLAYHEAD_DATABASE_URL set to it, and with the same secret key.',
          'Gateways on the old database play recordings until then and take no new ones in.',
        ].join('\n'),
      );
    }
    return exitCode.done;
  },
};

function isPostgres(url: string): boolean {
  return url.startsWith('postgres');
}
