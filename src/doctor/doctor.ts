import { type FileHandle, mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Report } from '../audio/report.ts';
import { ask, readText, spool } from './probe.ts';
import {
  type Answered,
  answerRules,
  audioRules,
  corsRules,
  type Downloaded,
  type Outcome,
  type Recording,
  type Retrieved,
  type Rule,
  retrieveRules,
  wholeRules,
} from './requirements.ts';
import { conditionalRules, rangeRules, strongEtag, versionRules } from './seeking.ts';

export interface Requirement {
  /** Stable, for scripts. */
  id: string;
  title: string;
  /** `unknown`: it could not be tried; `seen` says why. */
  met: boolean | 'unknown';
  seen: string;
  /** What to do; only where it is not met. */
  repair?: string;
}

export interface Diagnosis {
  requirements: Requirement[];
  /** Whether none was found unmet, and the recording was received. */
  met: boolean;
}

export interface Examination {
  /**
   * The URL that is registered with HubSpot, with `%s`; or what HubSpot makes of it; or the URL of a
   * recording itself. What answers with JSON is taken for the endpoint, anything else for a recording.
   */
  url: string;
  /** Goes in the place of `%s`. */
  externalId?: string | undefined;
  /** Go into the query where the URL holds `%s`, as HubSpot sends them. */
  externalAccountId?: string | undefined;
  appId?: string | undefined;
  /** The channel check; left out, format and channels are reported as unknown. */
  check?: ((path: string) => Promise<Report>) | undefined;
  /** For each request, in milliseconds. */
  timeoutMs?: number;
  /** Largest recording, in bytes; it is kept in a temporary file until the end. */
  maxBytes?: number;
}

/**
 * Does what HubSpot and its players do, to any recording endpoint, and reports each requirement met or not.
 *
 * Makes about thirty requests, one after the other, and reads the recording a few times. What the endpoint
 * sends wrong, late or not at all is a requirement unmet and never an exception.
 *
 * @throws TypeError where `url` is no http or https URL
 */
export async function examine(examination: Examination): Promise<Diagnosis> {
  const folder = await mkdtemp(join(tmpdir(), 'playhead-doctor-'));
  try {
    const requirements = await visit(examination, join(folder, 'recording'));
    const received = requirements.some(({ id, met }) => id === 'whole' && met === true);
    return { requirements, met: received && requirements.every(({ met }) => met !== false) };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Each step looks at what the one before brought; where it brought nothing, its rules stay untried. */
async function visit(examination: Examination, path: string): Promise<Requirement[]> {
  const { timeoutMs = 60_000, maxBytes = 2 * 1024 ** 3, check } = examination;
  const endpoint = await knock(requestUrl(examination), timeoutMs);
  const isEndpoint = endpoint.isJson || examination.url.includes('%s');
  const url = isEndpoint ? endpoint.authenticatedUrl : endpoint.url;

  const file = await open(path, 'w+');
  try {
    const stream = url === undefined ? undefined : await download(url, file, maxBytes, timeoutMs);
    const recording =
      stream?.body === undefined || stream.body.broken !== undefined
        ? undefined
        : recordingAt(stream.url, stream.body, file, timeoutMs);
    const etag = recording && strongEtag(recording.answer);
    const report = recording && check ? await check(path).catch(() => undefined) : undefined;

    return [
      ...(await judge(retrieveRules, isEndpoint ? endpoint : undefined, 'the URL is a recording’s own')),
      ...(await judge(answerRules, stream, 'there is no URL of a recording')),
      ...(await judge(wholeRules, stream?.body, 'the recording is not served')),
      ...(await judge(
        [...rangeRules, ...versionRules, ...corsRules],
        recording,
        'the recording was not received whole',
      )),
      ...(await judge(
        conditionalRules,
        recording && etag ? { ...recording, etag } : undefined,
        'no strong ETag',
      )),
      ...(await judge(
        audioRules,
        report,
        check ? 'the audio could not be checked' : 'no check was asked for',
      )),
    ];
  } finally {
    await file.close();
  }
}

/** What HubSpot makes of the registered URL. A URL without `%s` is left alone: its query may be signed. */
function requestUrl({ url: template, externalId = '', externalAccountId, appId }: Examination): string {
  const url = new URL(template.replaceAll('%s', encodeURIComponent(externalId)));
  if (!/^https?:$/.test(url.protocol)) throw new TypeError('The URL must start with http:// or https://.');
  if (!template.includes('%s')) return url.href;
  if (appId !== undefined) url.searchParams.set('appId', appId);
  if (externalAccountId !== undefined) url.searchParams.set('externalAccountId', externalAccountId);
  return url.href;
}

/** Asks as HubSpot asks for an authenticated URL. */
async function knock(url: string, timeoutMs: number): Promise<Retrieved & { isJson: boolean }> {
  const start = performance.now();
  const unanswered = { url, status: undefined, authenticatedUrl: undefined, milliseconds: 0, isJson: false };
  try {
    return await ask(url, { timeoutMs, headers: { accept: 'application/json' } }, async (answer) => {
      const status = answer.statusCode;
      const json = parseObject(await readText(answer, 65_536));
      const authenticatedUrl = webUrl(json?.authenticatedUrl);
      const milliseconds = performance.now() - start;
      return { url, status, seen: `${status}`, authenticatedUrl, milliseconds, isJson: json !== undefined };
    });
  } catch (error) {
    return { ...unanswered, seen: (error as Error).message };
  }
}

function parseObject(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

function webUrl(value: unknown): string | undefined {
  return typeof value === 'string' && /^https?:/i.test(value) ? URL.parse(value)?.href : undefined;
}

type Stream = Answered & { body?: Downloaded };

async function download(url: string, file: FileHandle, maxBytes: number, timeoutMs: number): Promise<Stream> {
  try {
    return await ask(url, { timeoutMs }, async (answer, deadline) => {
      const status = answer.statusCode;
      const answered = { url, status, seen: `${status}` };
      return status === 200
        ? { ...answered, body: { answer, ...(await spool(answer, deadline, file, maxBytes)) } }
        : answered;
    });
  } catch (error) {
    return { url, status: undefined, seen: (error as Error).message };
  }
}

function recordingAt(url: string, body: Downloaded, spooled: FileHandle, timeoutMs: number): Recording {
  return {
    ...body,
    spooled,
    ask: (headers, use, method = 'GET') => ask(url, { method, headers, timeoutMs }, use),
  };
}

/** Tests one rule after the other. `missing` says why there is nothing to test. */
async function judge<Seen>(
  rules: Rule<Seen>[],
  seen: Seen | undefined,
  missing: string,
): Promise<Requirement[]> {
  const requirements: Requirement[] = [];
  for (const { id, title, repair, test } of rules) {
    const [met, what, better] =
      seen === undefined ? (['unknown', missing] as Outcome) : await outcome(() => test(seen));
    requirements.push({ id, title, met, seen: what, ...(met === false ? { repair: better ?? repair } : {}) });
  }
  return requirements;
}

async function outcome(test: () => Outcome | Promise<Outcome>): Promise<Outcome> {
  try {
    return await test();
  } catch (error) {
    return [false, (error as Error).message];
  }
}

const marks = new Map<Requirement['met'], string>([
  [true, 'met'],
  [false, 'NOT MET'],
  ['unknown', 'unknown'],
]);

/** A table for people, with the repair below what is not met. */
export function formatDiagnosis({ requirements, met }: Diagnosis): string {
  const lines = requirements.flatMap((requirement) => {
    const { title, seen, repair } = requirement;
    const line = `${marks.get(requirement.met)!.padEnd(9)}${title} (${seen})`;
    return repair === undefined ? [line] : [line, `${' '.repeat(9)}→ ${repair}`];
  });
  const unmet = requirements.filter((requirement) => requirement.met === false).length;
  return [...lines, '', met ? 'Every requirement that was tried is met.' : `${unmet} not met.`].join('\n');
}
