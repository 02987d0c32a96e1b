/** `portable-json/1`: the encoding that graphs in any language share. */
export { decode } from "./decode.js";
export { encode } from "./encode.js";
export { PortableJsonError } from "./errors.js";
export { PORTABLE_JSON, PortableSerializer, type Serializer } from "./serializer.js";
export { Command, Interrupt, Overwrite, Send, type SendTimeout } from "./shapes.js";
export { OpaqueValue, Tagged } from "./tagged.js";
