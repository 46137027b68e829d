/** Statuses that errors are meant by where none is told beside their names: within a stream. */
export const statusOfType: Readonly<Record<string, number | undefined>> = {
  // Anthropic
  invalid_request_error: 400,
  authentication_error: 401,
  permission_error: 403,
  not_found_error: 404,
  rate_limit_error: 429,
  overloaded_error: 529,
  // vLLM
  BadRequestError: 400,
  NotFoundError: 404,
  // OpenAI's Responses
  rate_limit_exceeded: 429,
  invalid_prompt: 400,
  // TGI
  validation: 422,
  overloaded: 429,
};
