import { openDatabase } from '../db/open.ts';
import { type Command, exitCode, print } from './command.ts';

export const migrate: Command = {
  async run({ config }) {
    const database = await openDatabase(config.databaseUrl);
    await database.close();
    print('The database is up to date.');
    return exitCode.done;
  },
};
