import { CheckPool } from '../audio/process/pool.ts';
import { checkDownload } from '../sandbox/check-download.ts';
import { areFaults, type Fault } from '../sandbox/faults.ts';
import { createSandbox } from '../sandbox/sandbox.ts';
import { type Command, exit, flag, print, text, UsageError } from './command.ts';

export const sandbox: Command = {
  options: {
    faults: text('JSON', 'What goes wrong on purpose, such as [{"kind":"error","on":"POST","chance":0.1}].'),
    'numeric-app-id': flag('Refuses an hs_call_app_id that is no number, as HubSpot is reported to.'),
  },

  async run({ options, config }) {
    const checkPool = new CheckPool({ workers: 1 });
    const hubspot = await createSandbox({
      port: config.port,
      check: (audio) => checkDownload(checkPool, audio),
      faults: readFaults(options.faults),
      numericAppId: options['numeric-app-id'] !== undefined,
    });
    print(`The sandbox listens on ${hubspot.url}: set PLAYHEAD_HUBSPOT_API_BASE to that. Ctrl-C ends it.`);
    await new Promise((resolve) => process.once('SIGINT', resolve).once('SIGTERM', resolve));
    await hubspot.close();
    await checkPool.close();
    return exit.done;
  },
};

function readFaults(json = '[]'): Fault[] {
  try {
    const given: unknown = JSON.parse(json);
    if (areFaults(given)) return given;
  } catch {
    // said below
  }
  throw new UsageError(
    '--faults must be a JSON list of objects whose "kind" is latency, limit, error, reset or silence.',
  );
}
