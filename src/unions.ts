/** The unions of the domain, each typed once. The database and the API have their values: never rename one. */

export const directions = ['inbound', 'outbound'] as const;
export type Direction = (typeof directions)[number];

/** The caller placed the call, whether it was inbound or outbound. */
export const roles = ['caller', 'recipient'] as const;
export type Role = (typeof roles)[number];

export const verdicts = ['pass', 'fail', 'inconclusive'] as const;
export type Verdict = (typeof verdicts)[number];

/** The file formats that the check reads. */
export type Container = 'wav' | 'flac' | 'mp4';

/** The schemes of a source that can be played from where it is, each with the origin that reads it. */
export const remoteSchemes = { 's3:': 's3', 'https:': 'http', 'http:': 'http' } as const;
export type RemoteScheme = keyof typeof remoteSchemes;

/**
 * All schemes of a source. A local file is always copied, because whoever can write to its folder could change the
 * audio after the check.
 */
export const schemes = ['file:', ...(Object.keys(remoteSchemes) as RemoteScheme[])] as const;
export type Scheme = (typeof schemes)[number];

/** Where the bytes of a recording are: in our store, or by reference in a bucket or at a vendor. */
export type OriginName = 'store' | (typeof remoteSchemes)[RemoteScheme];

/** `waiting` for its next attempt, `done`, or `dead`: a dead letter, until somebody retries it. */
export const jobStates = ['waiting', 'done', 'dead'] as const;
export type JobState = (typeof jobStates)[number];

export type StepKind = 'log' | 'associate' | 'ready';

/** `running` also marks a step that was interrupted: its outcome is unknown. */
export type StepState = 'waiting' | 'running' | 'done';

/**
 * What the store has for a recording:
 *
 * - `intact`: the bytes that were checked, in the version that the catalog names
 * - `copied`: the bytes that were checked, in another version: somebody restored or copied them
 * - `damaged`: other bytes
 * - `missing`: nothing
 */
export const audioStates = ['intact', 'copied', 'damaged', 'missing'] as const;
export type AudioState = (typeof audioStates)[number];

/** What ends by itself after its retention: recordings, reports on rejected audio, and jobs that no recording has. */
export const endedKinds = ['recordings', 'reports', 'jobs'] as const;
export type EndedKind = (typeof endedKinds)[number];

/** What an API key is for: to send recordings, to look and listen, or everything. */
export const apiRoles = ['ingest', 'read', 'admin'] as const;
export type ApiRole = (typeof apiRoles)[number];
