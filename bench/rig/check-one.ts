import { check } from '../../src/audio/check.ts';
import { openFile } from '../../src/audio/source.ts';

/** Checks one file in this process, so that the process can be measured. */
const source = await openFile(process.argv[2]!);
await check(source, {});
await source.close();
