import Type, { type Static } from 'typebox';
import { Compile } from 'typebox/compile';
import type { TLocalizedValidationError } from 'typebox/error';
import { Problem } from '../errors.ts';
import type { Recording } from '../recordings/catalog.ts';
import { directions, roles, verdicts } from '../unions.ts';

const Direction = Type.Enum([...directions]);
const Role = Type.Enum([...roles]);
const Text = Type.String({ maxLength: 65_536 });

const Call = Type.Object(
  {
    id: Type.Optional(
      Type.String({ pattern: '^[0-9]{1,20}$', description: 'A call that HubSpot has already' }),
    ),
    title: Type.Optional(Text),
    body: Type.Optional(Text),
    from: Type.Optional(Text),
    to: Type.Optional(Text),
    startedAt: Type.Optional(Type.Union([Type.String({ maxLength: 40 }), Type.Integer({ minimum: 0 })])),
    durationMs: Type.Optional(Type.Integer({ minimum: 0 })),
    status: Type.Optional(Text),
    disposition: Type.Optional(Text),
    ownerId: Type.Optional(Text),
    associations: Type.Optional(
      Type.Array(
        Type.Object(
          {
            objectType: Type.String({ maxLength: 100 }),
            objectId: Type.String({ maxLength: 100 }),
            associationTypeId: Type.Optional(Type.Integer({ minimum: 1 })),
          },
          { additionalProperties: false },
        ),
        { maxItems: 100 },
      ),
    ),
  },
  { additionalProperties: false },
);

const declaredFields = {
  channels: Type.Optional(
    Type.Tuple([Role, Role], { description: 'Who is on channel 1 and who on channel 2, where you know' }),
  ),
  profile: Type.Optional(Type.String({ maxLength: 100, description: 'What recorded the call' })),
  leg: Type.Optional(Role),
  fileName: Type.Optional(Type.String({ maxLength: 1024 })),
};

const DeclaredInput = Type.Object(
  { ...declaredFields, direction: Type.Optional(Direction) },
  { additionalProperties: false },
);

export const RecordingInput = Type.Object(
  {
    accountId: Type.String({ description: 'Your id of the HubSpot account, up to 128 bytes' }),
    externalId: Type.String({ description: 'Your id of the call, up to 512 bytes' }),
    direction: Direction,
    ...declaredFields,
    source: Type.Optional(
      Type.String({ maxLength: 4096, description: 'Where the audio is, if it is not sent along' }),
    ),
    mode: Type.Optional(
      Type.Enum(['copy', 'proxy'], {
        description: 'Whether a source is copied into the store (left out: it is) or stays where it is',
      }),
    ),
    replace: Type.Optional(Type.Boolean()),
    call: Type.Optional(Call),
  },
  { additionalProperties: false },
);

export const Id = Type.Object({ accountId: Type.String(), externalId: Type.String() });
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

export type Id = Static<typeof Id>;
export type ListQuery = Static<typeof ListQuery>;

const input = Compile(RecordingInput);
const declared = Compile(DeclaredInput);

/** @throws Problem `invalid_request` that names the field at fault */
export function readRecordingInput(value: unknown): Static<typeof RecordingInput> {
  return read(input, value);
}

function read<T>(
  validator: { Check(value: unknown): value is T; Errors(value: unknown): TLocalizedValidationError[] },
  value: unknown,
): T {
  if (validator.Check(value)) return value;
  throw new Problem('invalid_request', sentenceOn(validator.Errors(value)[0]!));
}

/** What is wrong, in the words of whoever sent it and not of the schema. */
function sentenceOn(fault: TLocalizedValidationError): string {
  const path = fault.instancePath.split('/').slice(1);
  if (fault.keyword === 'required') {
    return `The field ${[...path, fault.params.requiredProperties[0]].join('.')} is missing.`;
  }
  const field = path.join('.');
  if (field === '') return 'The recording must be a JSON object.';
  if (fault.keyword === 'enum')
    return `The field ${field} must be ${fault.params.allowedValues.join(' or ')}.`;
  if (fault.keyword === 'boolean') return `The field ${field} is not known.`; // of what may not be there
  return `The field ${field} ${fault.message}.`;
}

/** What a form for `POST /v1/check` may claim. @throws Problem `invalid_request` that names the field at fault */
export function readDeclared(value: unknown): Static<typeof DeclaredInput> {
  return read(declared, value);
}

/** A recording as `/v1` shows it: nothing of where its audio lies. */
export function recordingResource(recording: Recording) {
  const { accountId, externalId, direction, size, sha256, verdict, report, refusal, call } = recording;
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
    ...(refusal && { refusal }),
    ...(call && { call }),
    createdAt: recording.createdAt.toISOString(),
    updatedAt: recording.updatedAt.toISOString(),
  };
}
