import Type, { type Static } from 'typebox';
import type { Recording } from '../recordings/recording.ts';
import { verdicts } from '../unions.ts';

export const AccountParams = Type.Object({ accountId: Type.String() });
export const RecordingParams = Type.Object({ accountId: Type.String(), externalId: Type.String() });
export const ListQuery = Type.Object(
  {
    accountId: Type.Optional(Type.String()),
    externalId: Type.Optional(Type.String()),
    verdict: Type.Optional(Type.Enum([...verdicts])),
    cursor: Type.Optional(Type.String({ maxLength: 1024 })),
    limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 200, default: 50 })),
  },
  { additionalProperties: false },
);

export type RecordingParams = Static<typeof RecordingParams>;
export type ListQuery = Static<typeof ListQuery>;

/** A recording as `/v1` returns it. It does not reveal where the audio is stored. */
export function recordingResource(recording: Recording) {
  const { accountId, externalId, direction, size, sha256, verdict, report, rejection, call } = recording;
  return {
    accountId,
    externalId,
    direction,
    playable: recording.key !== null,
    size,
    sha256,
    verdict,
    codes: report.codes,
    audio: report.audio,
    evidence: report.evidence,
    repairs: report.repairs,
    ...(rejection && { refusal: rejection }),
    ...(call && { call }),
    createdAt: recording.createdAt.toISOString(),
    updatedAt: recording.updatedAt.toISOString(),
  };
}
