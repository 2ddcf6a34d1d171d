package candle_binding

// selectorNetwork is what the functions of this file would need.
const selectorNetwork = "a network that selects models"

// MLPDeviceType is where a selector computes.
type MLPDeviceType int

// The devices, with the numbers that the router knows.
const (
	MLPDeviceCPU   MLPDeviceType = 0
	MLPDeviceCUDA  MLPDeviceType = 1
	MLPDeviceMetal MLPDeviceType = 2
)

// MLPDType is how precisely a selector computes.
type MLPDType int

// The precisions, with the numbers that the router knows.
const (
	MLPF32  MLPDType = 0
	MLPF16  MLPDType = 1
	MLPBF16 MLPDType = 2
)

// MLPSelector selects nothing. Its methods may be called on nil too.
type MLPSelector struct{}

// NewMLPSelector returns a selector that is not trained and can't be.
func NewMLPSelector() *MLPSelector { return &MLPSelector{} }

// NewMLPSelectorWithDevice is [NewMLPSelector].
func NewMLPSelectorWithDevice(deviceType MLPDeviceType) *MLPSelector { return &MLPSelector{} }

// NewMLPSelectorWithDeviceAndDType is [NewMLPSelector].
func NewMLPSelectorWithDeviceAndDType(deviceType MLPDeviceType, dtype MLPDType) *MLPSelector {
	return &MLPSelector{}
}

// MLPFromJSON returns an [UnsupportedError].
func MLPFromJSON(jsonStr string) (*MLPSelector, error) {
	return nil, &UnsupportedError{"MLPFromJSON", selectorNetwork}
}

// MLPFromJSONWithDevice returns an [UnsupportedError].
func MLPFromJSONWithDevice(jsonStr string, deviceType MLPDeviceType) (*MLPSelector, error) {
	return nil, &UnsupportedError{"MLPFromJSONWithDevice", selectorNetwork}
}

// MLPFromJSONWithDeviceAndDType returns an [UnsupportedError].
func MLPFromJSONWithDeviceAndDType(jsonStr string, deviceType MLPDeviceType, dtype MLPDType) (*MLPSelector, error) {
	return nil, &UnsupportedError{"MLPFromJSONWithDeviceAndDType", selectorNetwork}
}

// Close does nothing.
func (s *MLPSelector) Close() {}

// Select returns an [UnsupportedError].
func (s *MLPSelector) Select(query []float64) (string, error) {
	return "", &UnsupportedError{"MLPSelector.Select", selectorNetwork}
}

// IsTrained returns false.
func (s *MLPSelector) IsTrained() bool { return false }

// ToJSON returns an [UnsupportedError].
func (s *MLPSelector) ToJSON() (string, error) {
	return "", &UnsupportedError{"MLPSelector.ToJSON", selectorNetwork}
}
