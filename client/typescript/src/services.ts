/** What a client's services are, to who calls them. No type of Connect's is in it, so that none is needed. */
import type {
  DescMethodServerStreaming,
  DescMethodUnary,
  DescService,
  MessageInitShape,
  MessageShape,
} from "@bufbuild/protobuf";

/** What one call may be told. */
export interface OneCall {
  /** Milliseconds that it may take, its retries included; null waits for ever. The client's if absent. */
  timeoutMs?: number | null | undefined;
  /** Ends it. It then throws Cancelled, and a write may or may not be stored. */
  signal?: AbortSignal | undefined;
}

/** The methods of a service, those apart that stream both ways. A list is read while it is iterated. */
export type Calls<S extends DescService> = {
  readonly [
    M in keyof S["method"] as S["method"][M] extends { methodKind: "unary" | "server_streaming" } ? M : never
  ]: S["method"][M] extends DescMethodUnary<infer Request, infer Response>
    ? (request: MessageInitShape<Request>, options?: OneCall) => Promise<MessageShape<Response>>
    : S["method"][M] extends DescMethodServerStreaming<infer Request, infer Response>
      ? (
          request: MessageInitShape<Request>,
          options?: OneCall,
        ) => AsyncGenerator<MessageShape<Response>, void, undefined>
      : never;
};
