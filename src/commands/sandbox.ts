import { Checker } from '../audio/worker.ts';
import { checkBytes } from '../sandbox/bytes.ts';
import { createSandbox } from '../sandbox/hubspot.ts';
import { type Command, exit, print } from './command.ts';

export const sandbox: Command = {
  async run({ config }) {
    const checker = new Checker({ workers: 1 });
    const hubspot = await createSandbox({ port: config.port, check: checkBytes(checker) });
    print(`The sandbox listens on ${hubspot.url}: set PLAYHEAD_HUBSPOT_API_BASE to that. Ctrl-C ends it.`);
    await new Promise((resolve) => process.once('SIGINT', resolve).once('SIGTERM', resolve));
    await hubspot.close();
    await checker.close();
    return exit.done;
  },
};
