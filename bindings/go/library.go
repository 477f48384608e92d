// What the library and the machine are: versions, build options, devices.

package fp6llm

import (
	"bytes"

	"fp6llm/internal/capi"
)

// Version is the version of the library that the program found, "major.minor.patch".
func Version() string {
	return capi.GetVersionString()
}

// BuildInfo is a JSON object: version, compilers, instruction sets and CUDA architectures built in, options.
func BuildInfo() (string, error) {
	var needed uint
	if err := capi.GetBuildInfo(nil, 0, &needed); err != nil {
		return "", failure("BuildInfo", err)
	}
	text := make([]byte, needed)
	if err := capi.GetBuildInfo(&text[0], needed, nil); err != nil {
		return "", failure("BuildInfo", err)
	}
	return cString(text), nil
}

// DeviceInfo describes a device.
type DeviceInfo struct {
	Backend              Backend // CPU or CUDA.
	Ordinal              int     // Within the backend.
	Name                 string  // Processor or GPU model.
	ISA                  string  // CPU: the kernels in use, "avx2". CUDA: "sm_90".
	ComputeCapability    [2]int  // CUDA: major, minor.
	Multiprocessors      int     // SMs; CPUs that this process may use.
	DriverVersion        int     // CUDA: 13000 is 13.0.
	TotalMemory          uint64  // Bytes.
	SharedMemoryPerBlock uint64  // CUDA: bytes.
	L2CacheBytes         uint64  // L2 of a GPU, last-level cache of a CPU; 0 if unknown.
}

// DeviceCount is the number of devices of a backend: 1 for the CPU; 0 for CUDA without driver or device.
func DeviceCount(backend Backend) (int, error) {
	var count int32
	err := capi.GetDeviceCount(capi.Backend(backend), &count)
	return int(count), failure("DeviceCount", err)
}

// Device describes a device of the CPU or CUDA backend.
func Device(backend Backend, ordinal int) (DeviceInfo, error) {
	if ordinal != int(int32(ordinal)) {
		return DeviceInfo{}, invalid("Device", "ordinal = %d is out of range", ordinal)
	}
	info := capi.NewDeviceInfo()
	if err := capi.GetDeviceInfo(capi.Backend(backend), int32(ordinal), &info); err != nil {
		return DeviceInfo{}, failure("Device", err)
	}
	return DeviceInfo{
		Backend:              Backend(info.Backend),
		Ordinal:              int(info.Ordinal),
		Name:                 cString(info.Name[:]),
		ISA:                  cString(info.Isa[:]),
		ComputeCapability:    [2]int{int(info.ComputeCapabilityMajor), int(info.ComputeCapabilityMinor)},
		Multiprocessors:      int(info.MultiprocessorCount),
		DriverVersion:        int(info.DriverVersion),
		TotalMemory:          info.TotalMemory,
		SharedMemoryPerBlock: info.SharedMemoryPerBlock,
		L2CacheBytes:         info.L2CacheBytes,
	}, nil
}

// cString is the text before the first NUL.
func cString(text []byte) string {
	if end := bytes.IndexByte(text, 0); end >= 0 {
		text = text[:end]
	}
	return string(text)
}
