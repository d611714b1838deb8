import type { FastifyInstance } from 'fastify';
import { validationError } from './api-error.ts';

/** Parses JSON, also an empty body, which a PUT may have, and the forms of the token endpoints. */
export function acceptBodies(app: FastifyInstance): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (_request, text, done) => {
    try {
      done(null, text === '' ? undefined : JSON.parse(String(text)));
    } catch {
      done(validationError('Invalid input JSON.'));
    }
  });
  const form = 'application/x-www-form-urlencoded';
  app.addContentTypeParser(form, { parseAs: 'string' }, (_request, text, done) => {
    done(null, Object.fromEntries(new URLSearchParams(String(text))));
  });
}

/**
 * The named members of a JSON object.
 *
 * @throws ApiError 400 if one is missing
 */
export function requiredMembers<const Name extends string>(
  body: unknown,
  ...names: Name[]
): Record<Name, unknown> {
  const object = typeof body === 'object' && body !== null ? body : {};
  const members = object as Record<Name, unknown>;
  const missing = names.find((name) => members[name] === undefined);
  if (missing) throw validationError(`Invalid input JSON: some required fields were not set: [${missing}]`);
  return members;
}
