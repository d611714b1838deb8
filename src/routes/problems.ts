import type { FastifyError, FastifyInstance, FastifyReply, FastifySchemaValidationError } from 'fastify';
import { asProblem, Problem, problemDetails } from '../errors.ts';
import type { Metrics } from '../metrics.ts';
import type { FailureCount, Failures } from './limits.ts';

/** Sends every error as RFC 9457 with a stable code. Its cause goes to the log only. */
export function handleErrors(app: FastifyInstance, metrics: Metrics, failures: Failures): void {
  app.setNotFoundHandler(() => {
    throw new Problem('not_found');
  });
  app.setErrorHandler(async (error: FastifyError, request, reply) => {
    const thrown = asProblem(error);
    // An address with too many failures gets the problem `rate_limited` instead.
    const count = failureCountOf(thrown, failures);
    const problem = count ? await count.add(request).then(() => thrown, asProblem) : thrown;
    if (problem.status >= 500 && !reply.raw.destroyed)
      request.log.error({ err: problem, cause: problem.cause }, problem.code);
    metrics.refusals.inc({ code: problem.code });
    return sendProblem(reply, problem);
  });
}

function failureCountOf({ code, status }: Problem, failures: Failures): FailureCount | undefined {
  if (code === 'invalid_token') return failures.tokens;
  return status === 401 ? failures.credentials : undefined;
}

export function sendProblem(reply: FastifyReply, problem: Problem): FastifyReply {
  const { code, status, retryAfter } = problem;
  if (retryAfter !== undefined) reply.header('retry-after', String(retryAfter));
  // A route that also accepts the key in another way has set its own challenge.
  if (code === 'unauthorized' && !reply.hasHeader('www-authenticate'))
    reply.header('www-authenticate', 'Bearer');
  return reply
    .code(status)
    .header('cache-control', 'no-store')
    .type('application/problem+json')
    .send(problemDetails(problem));
}

/** For a URL that the router rejects. The router's own message repeats the URL, which may hold a token. */
export function urlProblem(cause: Error): Problem {
  const sentence = 'The URL cannot be decoded, or one of its segments is too long.';
  return new Problem('invalid_request', sentence, { cause });
}

/** What is wrong with the parameters of a request, such as `querystring/limit must be >= 1`. */
export function parameterError([error]: FastifySchemaValidationError[], part: string): Error {
  const { keyword, params, instancePath, message } = error!;
  return new Error(
    keyword === 'additionalProperties'
      ? `the parameter ${params.additionalProperty} is not known`
      : `${part}${instancePath} ${message}`,
  );
}
