import { CheckPool } from '../audio/process/pool.ts';
import { checkDownload } from '../sandbox/check-download.ts';
import { areFaults, type Fault } from '../sandbox/faults.ts';
import { createSandbox } from '../sandbox/sandbox.ts';
import { type Command, exitCode, flag, option, print, UsageError } from './command.ts';

export const sandbox: Command = {
  options: {
    faults: option('JSON', 'Inject faults, such as [{"kind":"error","on":"POST","chance":0.1}].'),
    'numeric-app-id': flag('Reject an hs_call_app_id that is not a number, as HubSpot is reported to do.'),
  },

  async run({ options, config }) {
    const checkPool = new CheckPool({ workers: 1 });
    const hubspot = await createSandbox({
      port: config.port,
      check: (audio) => checkDownload(checkPool, audio),
      faults: readFaults(options.faults),
      numericAppId: options['numeric-app-id'] !== undefined,
    });
    print(`The sandbox listens on ${hubspot.url}. Set PLAYHEAD_HUBSPOT_API_BASE to it. Ctrl-C stops it.`);
    await new Promise((resolve) => process.once('SIGINT', resolve).once('SIGTERM', resolve));
    await hubspot.close();
    await checkPool.close();
    return exitCode.done;
  },
};

function readFaults(json = '[]'): Fault[] {
  const faults = parse(json);
  if (areFaults(faults)) return faults;
  throw new UsageError(
    '--faults must be a JSON list of objects whose "kind" is latency, limit, error, reset or silence.',
  );
}

function parse(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}
