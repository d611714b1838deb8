import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { basename } from 'node:path';
import { isProblem, Problem } from '../errors.ts';
import { readRecordingInput } from '../ingest/input.ts';
import { schemeOf } from '../ingest/sources.ts';
import {
  type Command,
  exitCode,
  flag,
  option,
  print,
  requireOption,
  UsageError,
  withParts,
} from './command.ts';
import { declaredOptions, readDeclared } from './declared.ts';

export const ingest: Command = {
  maxArgs: 1,
  options: {
    account: option('ID', 'Account id in your phone system.'),
    id: option('EXTERNAL_ID', 'Call id in your phone system.'),
    ...declaredOptions,
    replace: flag('Replace other audio with the same id.'),
  },

  async run({ args: [file], options, config }) {
    if (file === undefined) throw new UsageError('FILE or URL is missing: name the recording to ingest.');
    const { source, ...offer } = readRecordingInput({
      accountId: requireOption(options, 'account'),
      externalId: requireOption(options, 'id'),
      direction: requireOption(options, 'direction'),
      ...readDeclared(options),
      ...(options.replace && { replace: true }),
      ...(schemeOf(file) && { source: file }),
    });
    if (!source && !(await stat(file).catch(() => undefined))?.isFile()) {
      throw new Error(`${file} is not a readable file.`);
    }
    const { signal } = new AbortController();
    return withParts(config, async ({ ingest, sources }) => {
      const audio = source ? await sources.open(source, signal) : bytesOf(file);
      const named = { fileName: basename(file), ...offer };
      const { outcome, recording } = await ingest.accept(named, audio, signal).catch((error) => {
        if (!isProblem(error, 'conflict')) throw error;
        throw new Problem('conflict', 'This recording exists with other audio: use --replace to replace it.');
      });
      const { accountId, externalId, verdict, report } = recording;
      print(`${outcome} ${accountId}/${externalId}: ${verdict} (${report.codes.join(', ')})`);
      return exitCode.done;
    });
  },
};

/** Opens the file at the first read. A stream that fails before it has a reader would end the process. */
async function* bytesOf(path: string): AsyncIterable<Uint8Array> {
  yield* createReadStream(path);
}
