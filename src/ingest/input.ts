import Type, { type Static } from 'typebox';
import { Compile } from 'typebox/compile';
import type { TLocalizedValidationError } from 'typebox/error';
import { Problem } from '../errors.ts';
import { directions, roles } from '../unions.ts';

const Direction = Type.Enum([...directions]);
const Role = Type.Enum([...roles]);
const Text = Type.String({ maxLength: 65_536 });

const Call = Type.Object(
  {
    id: Type.Optional(
      Type.String({
        pattern: '^[0-9]{1,20}$',
        description: 'HubSpot’s id of the call, if it is logged there already',
      }),
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
    Type.Tuple([Role, Role], { description: 'Who is on channel 1 and who is on channel 2, if you know' }),
  ),
  profile: Type.Optional(
    Type.String({
      maxLength: 100,
      description: 'Profile of what recorded the call, such as `twilio-dial`; docs/profiles.md lists them',
    }),
  ),
  leg: Type.Optional(Role),
  fileName: Type.Optional(Type.String({ maxLength: 1024 })),
};

const DeclaredInput = Type.Object(
  { ...declaredFields, direction: Type.Optional(Direction) },
  { additionalProperties: false },
);

/** The JSON of a recording to ingest. */
export const RecordingInput = Type.Object(
  {
    accountId: Type.String({ description: 'Id of the account in your phone system, up to 128 bytes' }),
    externalId: Type.String({ description: 'Id of the call in your phone system, up to 512 bytes' }),
    direction: Direction,
    ...declaredFields,
    source: Type.Optional(
      Type.String({
        maxLength: 4096,
        description: 'URL of the audio, if the request does not contain the audio',
      }),
    ),
    mode: Type.Optional(
      Type.Enum(['copy', 'proxy'], {
        description: '`copy` (default) stores the source; `proxy` streams it from where it is',
      }),
    ),
    replace: Type.Optional(Type.Boolean()),
    call: Type.Optional(Call),
  },
  { additionalProperties: false },
);

const recordingInput = Compile(RecordingInput);
const declaredInput = Compile(DeclaredInput);

interface Validator<T> {
  Check(value: unknown): value is T;
  Errors(value: unknown): TLocalizedValidationError[];
}

/** @throws Problem `invalid_request` that names the field at fault */
export function readRecordingInput(value: unknown): Static<typeof RecordingInput> {
  return read(recordingInput, value);
}

/** The JSON that declares what is on the channels. @throws Problem `invalid_request` that names the field at fault */
export function readDeclaredInput(value: unknown): Static<typeof DeclaredInput> {
  return read(declaredInput, value);
}

function read<T>(validator: Validator<T>, value: unknown): T {
  if (validator.Check(value)) return value;
  throw new Problem('invalid_request', sentenceOn(validator.Errors(value)[0]!));
}

/** One sentence that names the field by its path in the JSON. */
function sentenceOn({ instancePath, keyword, params, message }: TLocalizedValidationError): string {
  const path = instancePath.split('/').slice(1);
  if (keyword === 'required') {
    return `The field ${[...path, params.requiredProperties[0]].join('.')} is missing.`;
  }
  const field = path.join('.');
  if (field === '') return 'The recording must be a JSON object.';
  if (keyword === 'enum') return `The field ${field} must be ${params.allowedValues.join(' or ')}.`;
  // TypeBox reports a property that the schema does not allow as a `boolean` error.
  if (keyword === 'boolean') return `The field ${field} is not known.`;
  return `The field ${field} ${message}.`;
}
