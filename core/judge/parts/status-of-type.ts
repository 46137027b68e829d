/** Statuses that errors are meant by where none is told beside their names: within a stream. */
export const statusOfType: ReadonlyMap<string, number> = new Map(
  Object.entries({
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
    // Anthropic, later
    billing_error: 402,
    request_too_large: 413,
    timeout_error: 504,
    // Google
    INVALID_ARGUMENT: 400,
    FAILED_PRECONDITION: 400,
    OUT_OF_RANGE: 400,
    UNAUTHENTICATED: 401,
    PERMISSION_DENIED: 403,
    NOT_FOUND: 404,
    RESOURCE_EXHAUSTED: 429,
    UNAVAILABLE: 503,
    // AWS
    ValidationException: 400,
    AccessDeniedException: 403,
    ExpiredTokenException: 401,
    UnrecognizedClientException: 401,
    ResourceNotFoundException: 404,
    ModelNotReadyException: 503,
    ServiceUnavailableException: 503,
    ServiceQuotaExceededException: 429,
    // gateways
    too_many_requests: 429,
    too_many_requests_error: 429,
    service_unavailable: 503,
    permissions_error: 403,
    invalid_parameter_error: 400,
  }),
);

/** MiniMax's numbers, by what they say. */
const ofMiniMax: Readonly<Record<number, number | undefined>> = {
  1001: 408,
  1002: 429,
  1004: 401,
  1008: 402,
  1026: 400,
  1027: 400,
  1039: 429,
  1041: 429,
  2013: 400,
  2045: 429,
  2049: 401,
  2056: 429,
};
/** Baidu's. */
const ofBaidu: Readonly<Record<number, number | undefined>> = {
  2: 503,
  4: 429,
  6: 403,
  17: 402,
  18: 429,
  19: 402,
  110: 401,
  111: 401,
  336002: 400,
  336003: 400,
  336006: 400,
  336007: 400,
  336100: 503,
  336103: 400,
  336501: 429,
  336502: 429,
};

/** The status that a number of a vendor's own is meant by, told by what stands beside it; with a 200, there is no other. */
export function statusOfNumber(object: Readonly<Record<string, unknown>>): number | undefined {
  if ('status_msg' in object) return ofMiniMax[Number(object['status_code'])];
  return 'error_msg' in object ? ofBaidu[Number(object['error_code'])] : undefined;
}
