// fp6llmLinear with an epilogue whose fields are arguments: cgo then keeps the memory that they point to,
// which would have to be pinned, at 100 ns each, inside of a struct that goes to C.
package capi

/*
#include "failure.h"

static uintptr_t linear_with(fp6llmHandle_t handle, int64_t tokens, const unsigned char* X, int32_t Xtype, int64_t ldx,
                             fp6llmWeight_t W, const unsigned char* bias, int32_t biasType, int32_t activation,
                             const unsigned char* residual, int32_t residualType, int32_t computeType, int64_t ldr,
                             unsigned char* Y, int32_t Ytype, int64_t ldy) {
    fp6llmEpilogue_t epilogue = FP6LLM_EPILOGUE_INIT;
    epilogue.bias = bias;
    epilogue.biasType = biasType;
    epilogue.activation = activation;
    epilogue.residual = residual;
    epilogue.residualType = residualType;
    epilogue.computeType = computeType;
    epilogue.ldr = ldr;
    return fp6llm_failure(fp6llmLinear(handle, tokens, X, (fp6llmDataType_t)Xtype, ldx, W, &epilogue, Y,
                                       (fp6llmDataType_t)Ytype, ldy));
}
*/
import "C"

import "unsafe"

// LinearWith is Linear with an epilogue whose Bias and Residual may be Go memory that is not pinned.
func LinearWith(handle Handle, tokens int64, X unsafe.Pointer, Xtype DataType, ldx int64, W Weight,
	epilogue Epilogue, Y unsafe.Pointer, Ytype DataType, ldy int64) error {
	return takeFailure(uintptr(C.linear_with(C.fp6llmHandle_t(handle), C.int64_t(tokens), (*C.uchar)(X),
		C.int32_t(Xtype), C.int64_t(ldx), C.fp6llmWeight_t(W), (*C.uchar)(epilogue.Bias),
		C.int32_t(epilogue.BiasType), C.int32_t(epilogue.Activation), (*C.uchar)(epilogue.Residual),
		C.int32_t(epilogue.ResidualType), C.int32_t(epilogue.ComputeType), C.int64_t(epilogue.Ldr),
		(*C.uchar)(Y), C.int32_t(Ytype), C.int64_t(ldy))))
}
