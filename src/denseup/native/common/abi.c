/* Raised with every change of what Python calls here, as ABI in __init__.py is: a library left over from an older build is
 * then refused instead of called in the wrong way. */
int denseup_abi(void) { return 7; }
